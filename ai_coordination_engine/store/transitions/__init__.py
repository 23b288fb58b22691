"""The state changes, each one conditional write."""
