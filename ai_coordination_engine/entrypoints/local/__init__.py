"""The API, the worker and an embedded AWS in one process on one machine."""
