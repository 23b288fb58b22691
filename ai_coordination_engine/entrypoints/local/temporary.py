"""The directory of a server without --data-dir: it is removed with the server, however that ends.

A killed server removes nothing; the next one on the machine does.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ai_coordination_engine.entrypoints.local.data_dir import TEMPORARY, DataDirError, lock

_PREFIX = "ace-"


@contextmanager
def temporary_directory() -> Iterator[Path]:
    """Yield a new directory, which is locked and removed in the end, and remove those of servers
    that have died.
    """
    _remove_left()
    with (
        ExitStack() as after,  # the lock is held until the directory is removed
        tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as made,
    ):
        folder = Path(made)
        after.enter_context(lock(folder))
        (folder / TEMPORARY).touch()
        yield folder


def _remove_left() -> None:
    """Remove the directories of this user that nobody holds locked.

    A server locks its directory before it marks it: one without a mark may be new. A directory of
    --data-dir has no mark, whatever its name is.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, DataDirError):
            is_ours = not folder.is_symlink() and folder.stat().st_uid == os.geteuid()
            if is_ours and (folder / TEMPORARY).is_file():
                with lock(folder):
                    shutil.rmtree(folder, ignore_errors=True)
