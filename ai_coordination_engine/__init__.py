"""A service that runs several AI agents on one job and keeps track of all of it."""

__version__ = "0.1.0"
