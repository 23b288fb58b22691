"""Load the functions of a running server anew when their files change."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ai_coordination_engine.assembly import function_files
from ai_coordination_engine.engine.app import App

EVERY_SECONDS = 0.5


@contextmanager
def reloading(app: App, tell: Callable[[str], object]) -> Iterator[None]:
    """Watch the files while the context is open; `tell` gets a line for each change.

    Attempts that run finish on the code with which they began. Code that cannot be loaded changes
    nothing: the earlier code goes on.
    """
    ended = threading.Event()
    files = function_files(app)
    tell(f"Functions are loaded anew when these files change: {', '.join(files.names) or 'none'}")

    def watch() -> None:
        while not ended.wait(EVERY_SECONDS):
            if changed := files.changed():
                tell(f"{', '.join(changed)} changed: {_said(files.load())}")

    thread = threading.Thread(target=watch, name="ace-reload", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _said(problem: str | None) -> str:
    if problem is None:
        return "functions are loaded anew."
    return f"it cannot be loaded, and the earlier code goes on. {problem}"
