"""Run agents of a data directory in a process without an API: `ace worker`, or a child process."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.entrypoints.local.agreement import shared
from ai_coordination_engine.entrypoints.local.home import Home, joined
from ai_coordination_engine.entrypoints.local.local_settings import local_settings, log_to_stderr
from ai_coordination_engine.entrypoints.local.reload import reloading
from ai_coordination_engine.entrypoints.local.working import working
from ai_coordination_engine.settings import Settings


@contextmanager
def serving_work(
    settings: Settings,
    data_dir: Path,
    durability: Durability,
    workers: int = 1,
    *,
    reload: bool = False,
) -> Iterator[Home]:
    """Run agents of a data directory on `workers` processes while the context is open.

    `reload`: load functions anew when their files change; the server says so. Raises `StartError`.
    """
    log_to_stderr(settings)
    settings, _, _ = local_settings(settings)
    with (
        joined(data_dir, durability, shared(settings)) as found,
        working(found.build(settings), found, workers) as app,
        reloading(app, lambda _: None) if reload else nullcontext(),
    ):
        yield found
