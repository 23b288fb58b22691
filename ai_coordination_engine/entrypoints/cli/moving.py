"""A session of `ace demo` that moves: it runs while somebody looks at the console."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from ai_coordination_engine import AgentRequest
from ai_coordination_engine.client import ENDED, ApiError
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.local.server import Running
from ai_coordination_engine.entrypoints.run_file.run_file import RunFile
from ai_coordination_engine.settings import Settings

SCREEN = "#/latest"
"""The screen of the console that shows the newest session."""
_NAME = "steady"
_SECONDS = (4, 6, 3, 5, 3)
_LOOK_SECONDS = 1.0
_SUFFIX = "-moving"


def steady(request: AgentRequest) -> str:
    """Return the input after `runtime.seconds`, as an agent that takes its time."""
    threading.Event().wait(float(request.runtime.get("seconds", 0)))
    return request.input


def with_steady(settings: Settings) -> Settings:
    """Allow `steady` beside the functions of the settings."""
    functions = {_NAME: f"{__name__}:{_NAME}", **settings.functions}
    return settings.model_copy(update={"functions": functions})


def slowed(run: RunFile) -> RunFile:
    """Return a run file of its own whose agents are `steady`."""
    seconds = (_SECONDS * len(run.agents))[: len(run.agents)]
    agents = [
        {**agent, "runtime": {"kind": "function", "name": _NAME, "seconds": each}}
        for agent, each in zip(run.agents, seconds, strict=True)
    ]
    return replace(
        run,
        coordination_uuid=run.coordination_uuid + _SUFFIX,
        coordination_name=f"{run.coordination_name}, in motion",
        task_uuid=run.task_uuid + _SUFFIX,
        agents=agents,
    )


@contextmanager
def moving(running: Running, run: RunFile) -> Iterator[None]:
    """Keep one session of the run file running while somebody watches the server, until the context
    is closed.
    """
    stop = threading.Event()
    changes = running.app.changes
    keep = threading.Thread(
        target=_keep, args=(running.url, slowed(run), lambda: changes.is_watched, stop), daemon=True
    )
    keep.start()
    try:
        yield
    finally:
        stop.set()
        keep.join(_LOOK_SECONDS)


def _keep(url: str, run: RunFile, is_watched: Callable[[], bool], stop: threading.Event) -> None:
    with Client(url) as client:
        session_uuid: str | None = None
        while not stop.wait(_LOOK_SECONDS):
            try:
                if is_watched() and _has_ended(client, run, session_uuid):
                    session_uuid = client.start_file(run)
            except ApiError:  # somebody has deleted it, or the server stops
                session_uuid = None


def _has_ended(client: Client, run: RunFile, session_uuid: str | None) -> bool:
    if session_uuid is None:
        return True
    return client.session(run.coordination_uuid, session_uuid).status in ENDED
