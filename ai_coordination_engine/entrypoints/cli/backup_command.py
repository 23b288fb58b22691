"""The command `ace backup`."""

from pathlib import Path

from ai_coordination_engine.database.copies import CopyError, copy_of, reading
from ai_coordination_engine.database.soundness import counts, size_text
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.output import on_one_line, write
from ai_coordination_engine.entrypoints.cli.state_file import state_file


def backup(target: Path, data_dir: Path | None, *, force: bool) -> None:
    """Save the state to a file and print what was saved; raises `Failure`."""
    path = state_file(data_dir)
    try:
        copy_of(path, target, replace=force)
    except CopyError as error:
        raise Failure(on_one_line(str(error)), FAILED) from error
    with reading(target) as connection:
        rows = ", ".join(f"{count} {name}" for name, count in counts(connection) if count)
    size = size_text(target.stat().st_size)
    write(on_one_line(f"Saved {path} to {target} ({size}): {rows or 'no rows'}."))
