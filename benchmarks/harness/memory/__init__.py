"""DynamoDB in memory, for the tests that need many histories: what an emulator does in 5 ms it does
in 0.05.

`test_memory.py` holds it to moto and to DynamoDB Local. What it does not know it refuses with
`NotImplementedError`.
"""

from benchmarks.harness.memory.database import Database, databases, in_memory

__all__ = ["Database", "databases", "in_memory"]
