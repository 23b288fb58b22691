"""The tables underneath: calls, shards, what they cost."""
