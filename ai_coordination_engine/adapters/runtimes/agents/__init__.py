"""Agents that call tools, run by pydantic-ai. `chosen` alone is imported to check a record."""
