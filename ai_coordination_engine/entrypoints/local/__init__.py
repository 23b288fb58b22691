"""The API and the worker in one process on one machine."""
