"""The command `ace serve`. It imports no client of the API, which only runs need."""

from contextlib import nullcontext
from pathlib import Path

from ai_coordination_engine.database_file import Durability
from ai_coordination_engine.entrypoints.cli.terminal import Terminal
from ai_coordination_engine.entrypoints.local.reload import reloading
from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.settings import Settings

_CURL = (
    """curl -s {url} -H 'content-type: application/json' """
    """-d '{{"query": "{{ sessionList {{ sessionList {{ sessionUuid status taskQuery }} }} }}"}}'"""
)


def serve(
    settings: Settings,
    port: int | None,
    data_dir: Path | None,
    *,
    aws: bool,
    durability: Durability | None = None,
    workers: int = 1,
    reload: bool = False,
) -> None:
    """Serve until Ctrl-C; `reload`: load the functions anew when their files change."""
    console = Terminal()
    with serving(
        settings,
        port=port,
        data_dir=data_dir,
        aws=aws,
        durability=durability,
        workers=workers,
        reload=reload,
    ) as running:
        console.print(runtime_note(running))
        introduce(console, running)
        with reloading(running.app, console.print) if reload else nullcontext():
            until_stopped(console)


def runtime_note(running: Running) -> str:
    """Say which runtime agents without one of their own have."""
    if running.model:
        return f"Agents without a runtime ask the model endpoint {running.model!r}."
    if running.app.settings.default_runtime != {"kind": "function", "name": "echo"}:
        return f"Agents without a runtime run on {running.app.settings.default_runtime}."
    return (
        "No model is configured: agents without a runtime run the built-in function echo, which"
        " returns its input."
    )


def introduce(console: Terminal, running: Running, screen: str = "") -> None:
    """Say where the server and its state are; `screen` is that of the console to open."""
    for note in running.notes:
        console.print(note)
    console.print(
        f"\nOpen: {running.page}{screen}\nAPI:  {running.url}\n{running.where}\nTry: "
        f" {_CURL.format(url=running.url)}"
    )


def until_stopped(console: Terminal) -> None:
    """Wait for Ctrl-C."""
    console.print("Serving until Ctrl-C.")
    console.wait_until_interrupted()
