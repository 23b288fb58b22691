"""DynamoDB in memory, a hundred times as fast as an emulator, for tests of many histories.

`test_memory.py` compares it with moto and with DynamoDB Local. It raises `NotImplementedError` for
what it does not support.
"""

from benchmarks.harness.memory.clients import databases, in_memory
from benchmarks.harness.memory.database import Database

__all__ = ["Database", "databases", "in_memory"]
