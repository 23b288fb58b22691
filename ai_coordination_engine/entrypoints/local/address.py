"""The address of the server that holds a data directory, for commands that ask it.

It is a file in the directory, for its owner alone. It names the process, whose lock says whether
that still lives: the file of a server that was killed has no effect.
"""

import fcntl
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ai_coordination_engine.database.names import PROCESSES
from ai_coordination_engine.entrypoints.local.data_dir import write_object

_FILE = "address"
_URL = re.compile(r"http://127\.0\.0\.1:\d{1,5}/graphql", re.ASCII)


@contextmanager
def published(data_dir: Path, process: str, url: str, *, is_lasting: bool = True) -> Iterator[None]:
    """Write the address of this process, which is called `process`, while the context is open.

    `is_lasting`: others may rely on it; else it ends with its own work, as that of `ace run` does.
    A directory that cannot be written, such as a full disk, only means that nobody finds it.
    """
    path = data_dir / _FILE
    try:
        write_object(path, {"url": url, "process": process, "is_lasting": is_lasting})
    except OSError:
        yield
        return
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def address_of(data_dir: Path, *, lasting: bool = False) -> str | None:
    """The address of the server that holds the directory, or None; `lasting`: only of one on which
    others may rely.
    """
    try:
        found = json.loads((data_dir / _FILE).read_text(encoding="utf-8"))
        name, url = str(found["process"]), str(found["url"])
        lives = _lives(data_dir / PROCESSES / Path(name).name)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not _URL.fullmatch(url):  # no server here has written it
        return None
    return url if lives and (found.get("is_lasting") is True or not lasting) else None


def _lives(process: Path) -> bool:
    with open(process) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
