"""The command `ace check-db`."""

import sqlite3
from contextlib import nullcontext
from pathlib import Path
from threading import Event

from ai_coordination_engine.database import soundness
from ai_coordination_engine.database.copies import reading
from ai_coordination_engine.database.failures import FileError, of_opening
from ai_coordination_engine.database.vacuum import vacuum
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.output import on_one_line, write
from ai_coordination_engine.entrypoints.cli.state_file import state_file
from ai_coordination_engine.entrypoints.local.data_dir import FILE, DataDirError, lock
from ai_coordination_engine.local_bootstrap import state_problems

_AGAIN_SECONDS = 1.0  # after which a server has written what it was about to write


def check_db(file: Path | None, data_dir: Path | None, *, vacuums: bool) -> None:
    """Print what is in the file and what is wrong with it; raises `Failure` if anything is.

    With `vacuums`, give free space of a sound file back to the disk.
    """
    path = _named(file, data_dir)
    try:
        found = _report(path)
        if vacuums and not found:
            _vacuum(path)
    except (FileError, DataDirError) as error:
        raise Failure(f"{error}", FAILED) from error
    except sqlite3.Error as error:
        raise Failure(f"{of_opening(path, error)}", FAILED) from error
    if found:
        raise Failure(f"{len(found)} problem{'s'[: len(found) > 1]} found.", FAILED)
    write("No problems found.")


def _named(file: Path | None, data_dir: Path | None) -> Path:
    if file is None:
        return state_file(data_dir)
    if data_dir is not None:
        raise Failure("Name a file or --data-dir, not both.")
    if file.is_dir():
        raise Failure(f"{file} is a directory: ace check-db --data-dir {file}")
    if not file.is_file():
        raise Failure(f"There is no file {file}.")
    return file


def _report(path: Path) -> list[str]:
    """Print the facts and the problems; returns the problems."""
    write(on_one_line(str(path)))
    with reading(path) as connection:
        unsound = [*soundness.problems(connection)]
        if not unsound:
            for line in soundness.facts(connection, path):
                write(f"  {on_one_line(line)}")
    found = unsound or _state_problems(path)
    for each in found:
        write(f"problem: {on_one_line(each)}")
    return found


def _state_problems(path: Path) -> list[str]:
    """The problems that are there at two looks: a server may have been writing at the first."""
    with reading(path) as connection:
        found = [*state_problems(connection)]
    if not found:
        return []
    Event().wait(_AGAIN_SECONDS)
    with reading(path) as connection:
        again = {*state_problems(connection)}
    return [each for each in found if each in again]


def _vacuum(path: Path) -> None:
    """Shrink the file while no server uses it."""
    with lock(path.parent) if path.name == FILE else nullcontext():
        write(vacuum(path))
