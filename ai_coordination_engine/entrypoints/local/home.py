"""Open the home of the state of `ace`: an SQLite file, or AWS.

The file is `ace.db` in the data directory, or a temporary file.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from ai_coordination_engine import local_bootstrap
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.database.failures import FileError
from ai_coordination_engine.database_file import DatabaseFile, Durability
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.address import address_of
from ai_coordination_engine.entrypoints.local.agreement import SettingsDiffer, Shared, agree
from ai_coordination_engine.entrypoints.local.data_dir import (
    FILE,
    TEMPORARY,
    DataDirError,
    NoDataDir,
    lock,
    make_private,
    refuse_earlier,
)
from ai_coordination_engine.entrypoints.local.processes import Processes
from ai_coordination_engine.entrypoints.local.temporary import temporary_directory
from ai_coordination_engine.settings import Settings


class StartError(Exception):
    """The server cannot start; the message says why and what to do."""


class WrongInput(StartError):
    """The options or settings of the command do not fit each other, or what is there."""


@dataclass(frozen=True)
class Place:
    """The directory of an SQLite file, and what its commits survive."""

    folder: Path
    durability: Durability


@dataclass(frozen=True)
class Home:
    """A place for the state: its description for people, and how to build the application on it.

    `place` and `processes` are set for an SQLite file that several processes may share, in a
    process that runs agents. `is_server`: no other server works with it.
    """

    where: str
    build: Callable[[Settings], App]
    place: Place | None = None
    processes: Processes | None = None
    is_server: bool = False


@contextmanager
def home(
    data_dir: Path | None,
    *,
    aws: bool = False,
    durability: Durability | None = None,
    alone: bool = True,
    shared: Shared | None = None,
) -> Iterator[Home]:
    """Open the home that the arguments and the environment name, while the context is open.

    `alone`: lock the data directory, so that no other server works with it. `shared`: the settings
    in which the processes of a directory agree. Raises `StartError`.
    """
    if durability and not data_dir:
        raise WrongInput("--durability is that of a data directory: name one with --data-dir.")
    if aws or has_endpoint():
        found = _on_aws(data_dir)
    else:
        found = _on_sqlite(data_dir, durability or "full", alone, shared)
    with found as opened:
        yield opened


@contextmanager
def _on_aws(data_dir: Path | None) -> Iterator[Home]:
    if data_dir:
        raise WrongInput(
            "A data directory does not work with AWS: leave out --aws and unset AWS_ENDPOINT_URL,"
            " or leave the data directory out."
        )
    where = os.environ.get("AWS_ENDPOINT_URL") or "the account of the environment"
    yield Home(f"AWS:  {where}", _build_on_aws)


@contextmanager
def _on_sqlite(
    data_dir: Path | None, durability: Durability, alone: bool, shared: Shared | None
) -> Iterator[Home]:
    where = "nothing is kept; --data-dir DIR keeps it"
    if data_dir is None:
        folder: AbstractContextManager[Path] = temporary_directory()
        durability = "none"
    else:
        folder, where = _locked(data_dir, alone), str(data_dir / FILE)
    with folder as found:
        if not alone:
            with closing(_opened(found / FILE, durability)) as file:
                yield Home(f"State: {where}", partial(local_bootstrap.build_local_app, file=file))
            return
        with (
            _member(found, shared, is_server=True) as (processes, since),
            closing(_opened(found / FILE, durability, alone=not processes.others())) as file,
        ):
            build = partial(_build_of_process, file=file, processes=processes, since=since)
            place = Place(found, durability)
            yield Home(f"State: {where}", build, place, processes, is_server=True)


@contextmanager
def joined(data_dir: Path, durability: Durability, shared: Shared | None = None) -> Iterator[Home]:
    """Open the data directory of a server for one more process that runs agents, while the context
    is open. `shared` as in `home`. Raises `StartError`.
    """
    if has_endpoint():
        raise WrongInput("A data directory does not work with AWS: unset AWS_ENDPOINT_URL.")
    with _start_errors(data_dir):
        refuse_earlier(data_dir)
        is_there = (data_dir / FILE).is_file()
    if not is_there:
        raise WrongInput(
            f"There is no {FILE} in {data_dir}; name the directory of: ace serve --data-dir DIR"
        )
    place = Place(data_dir, durability)
    with (
        # first: a server migrates the file alone
        _member(data_dir, shared, is_server=False) as (processes, since),
        closing(_opened(data_dir / FILE, durability)) as file,
    ):
        build = partial(_build_of_process, file=file, processes=processes, since=since)
        yield Home(f"State: {data_dir / FILE}", build, place, processes)


def has_endpoint() -> bool:
    """Whether `AWS_ENDPOINT_URL` is set."""
    return bool(os.environ.get("AWS_ENDPOINT_URL"))


@contextmanager
def _locked(data_dir: Path, alone: bool) -> Iterator[Path]:
    """Make the directory accessible to its owner only; lock it if this process must be `alone`."""
    with _start_errors(data_dir):
        refuse_earlier(data_dir)
        make_private(data_dir)
        held = lock(data_dir, address_of(data_dir)) if alone else nullcontext()
    with held:
        with _start_errors(data_dir):
            (data_dir / TEMPORARY).unlink(missing_ok=True)  # somebody wants to keep it
        yield data_dir


def _opened(path: Path, durability: Durability, *, alone: bool = False) -> DatabaseFile:
    with _start_errors(path.parent):
        return DatabaseFile(path, durability, alone=alone)


@contextmanager
def _member(
    data_dir: Path, shared: Shared | None, *, is_server: bool
) -> Iterator[tuple[Processes, float]]:
    """Be one of the processes of the directory, which agree in their `shared` settings.

    Yields the processes, and since when these settings apply (epoch seconds).
    """
    with _start_errors(data_dir):
        processes = Processes(data_dir, shared)
    with closing(processes):
        with _start_errors(data_dir):
            since = agree(data_dir, processes, shared, is_server=is_server) if shared else 0.0
        yield processes, since


@contextmanager
def _start_errors(data_dir: Path | None) -> Iterator[None]:
    """Turn the errors of a data directory into `StartError`."""
    try:
        yield
    except (NoDataDir, SettingsDiffer) as error:
        raise WrongInput(str(error)) from error
    except (DataDirError, FileError) as error:
        raise StartError(str(error)) from error
    except OSError as error:
        raise StartError(f"{data_dir} cannot be used: {error.strerror or error}.") from error


def _build_on_aws(settings: Settings) -> App:
    # Imported here because botocore takes half of a start, and an SQLite file needs none of it.
    from ai_coordination_engine import bootstrap  # noqa: PLC0415

    bootstrap.create_tables(settings)
    return bootstrap.build_app(bootstrap.create_queue_and_bucket(settings))


def _build_of_process(
    settings: Settings, file: DatabaseFile, processes: Processes, since: float
) -> App:
    app = local_bootstrap.build_local_app(
        settings, file, process=processes.name, wake_others=processes.wake_others
    )
    return replace(app, settings_since=since)
