"""The server, the worker and the AWS of one machine."""
