from collections.abc import Iterator
from pathlib import Path

import pytest

from ai_coordination_engine.adapters.sqlite_blobs import SqliteBlobs
from ai_coordination_engine.database_file import DatabaseFile


@pytest.fixture
def blobs(tmp_path: Path) -> Iterator[SqliteBlobs]:
    file = DatabaseFile(tmp_path / "ace.db", "none")
    yield SqliteBlobs(file)
    file.close()


def test_a_value_survives(blobs: SqliteBlobs) -> None:
    blobs.put("a/b", b"\x00\xff" * 300_000)
    blobs.put("a/b", b"\x00\xff" * 300_000)
    assert blobs.get("a/b") == b"\x00\xff" * 300_000
    with pytest.raises(KeyError, match="a/c"):
        blobs.get("a/c")


def test_what_is_below_a_prefix_is_deleted(blobs: SqliteBlobs) -> None:
    keys = ["a/b/1", "a/b/ü", "a/b/\U0010fffe", "a/b", "a/c", "a/b%2F", "a/_/1"]
    for key in keys:
        blobs.put(key, key.encode())
    blobs.delete_all("a/b/")
    blobs.delete_all("none")
    left = keys[3:]
    assert [blobs.get(key).decode() for key in left] == left
    for key in keys[:3]:
        with pytest.raises(KeyError):
            blobs.get(key)
