"""The Lambda handlers: API, worker and sweep."""
