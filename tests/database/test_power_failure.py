"""What was acknowledged is on the disk, also while others write and the log begins anew."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from tests.kit.power import STRACE, Disk, File


def has_strace() -> bool:
    """Whether there is one, and it may look at processes."""
    tried = ["strace", "-o", os.devnull, "true"]
    return bool(shutil.which("strace")) and subprocess.run(tried, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not has_strace(), reason="needs strace")
WRITERS = """
import os, sys, threading
from pathlib import Path
from ai_coordination_engine import database_file
database_file._TAKE_OVER_AFTER, database_file._LOG_PAGES = 5, 12
database_file._LOG_BYTES = int(sys.argv[3])
told = os.open(sys.argv[1] + "/told", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
path, durability = Path(sys.argv[1], "ace.db"), sys.argv[2]
def open_file():
    return database_file.DatabaseFile(path, durability, alone=False)
first = open_file()
first.write(lambda each: each.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, filling TEXT)"))
first.close()
own = 1_000 if os.fork() else 2_000
file = open_file()
def run(begin):
    for number in range(begin, begin + 8):
        def insert(each):
            each.execute("INSERT INTO t VALUES (?, ?)", (number, "x" * 700))
        if number % 2:
            file.write(insert)
        else:
            with file.together():
                file.write(insert)
        os.write(told, str(number).encode())
threads = [threading.Thread(target=run, args=(own + 100 * each,)) for each in range(2)]
for each in threads: each.start()
for each in threads: each.join()
file.close()
if own == 1_000:
    os.wait()
"""


def numbers_after_failure(folder: Path, files: dict[str, File], random: Random) -> set[int]:
    """The rows of the file that is left when the power fails now."""
    kept = random.choice([0, 0.5, 1])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in ("ace.db", "ace.db-wal"):
        if name in files and (content := files[name].after_failure(kept, random)):
            (folder / name).write_bytes(content)
    with closing(sqlite3.connect(folder / "ace.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return {number for (number,) in connection.execute("SELECT n FROM t")}


def lost(tmp_path: Path, durability: str, log_bytes: int) -> Iterator[set[int]]:
    """Yield, for each acknowledgement, what a power failure after it takes back of all of them."""
    trace, random = tmp_path / "trace", Random(1)
    (tmp_path / "data").mkdir()
    arguments = [str(tmp_path / "data"), durability, str(log_bytes)]
    subprocess.run(
        [*STRACE, "-o", str(trace), sys.executable, "-c", WRITERS, *arguments],
        check=True,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )
    disk, told = Disk("ace.db"), set[int]()
    for number in disk.replay(trace):
        told.add(int(number))
        yield told - numbers_after_failure(tmp_path / "left", disk.files, random)


@pytest.mark.parametrize("log_bytes", [16_777_216, 30_000])
def test_a_power_failure_takes_back_nothing_acknowledged(tmp_path: Path, log_bytes: int) -> None:
    assert [*lost(tmp_path, "full", log_bytes)] == [set()] * 32


def test_the_test_would_notice_a_commit_that_is_not_synced(tmp_path: Path) -> None:
    assert any(lost(tmp_path, "process", 16_777_216))
