"""Which file the commands `ace backup` and `ace check-db` are about."""

from pathlib import Path

from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.local.data_dir import FILE, DataDirError, refuse_earlier


def state_file(data_dir: Path | None) -> Path:
    """Return the file in the directory of `ace serve --data-dir`; raises `Failure`."""
    if data_dir is None:
        raise Failure("Say where the state is: --data-dir DIR, as in: ace serve --data-dir DIR")
    path = data_dir / FILE
    if not path.is_file():
        _refuse_earlier(data_dir)
        raise Failure(
            f"There is no {FILE} in {data_dir}; name the directory of: ace serve --data-dir DIR"
        )
    return path


def _refuse_earlier(data_dir: Path) -> None:
    try:
        refuse_earlier(data_dir)
    except DataDirError as error:
        raise Failure(str(error), FAILED) from error
