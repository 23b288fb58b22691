"""Explain a session again and again while nothing changes in it."""

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from ai_coordination_engine.client import ApiError
from ai_coordination_engine.entrypoints.cli.session_view import SessionView


class Quiet:
    """Calls `explain` with the view of `since` every few seconds, until the next one.

    It is called in a thread of its own, and holds `showing` meanwhile. Errors of the API are left
    to the caller's own requests.
    """

    def __init__(self, seconds: float, explain: Callable[[SessionView], None]) -> None:
        self._seconds = seconds
        self._explain = explain
        self._view: SessionView | None = None
        self._changed = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._watch, name="ace-quiet", daemon=True)
        self.showing = threading.Lock()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self.since(None)
        with self.showing:  # nothing is shown any more
            pass

    def since(self, view: SessionView | None) -> None:
        """Begin to wait anew; None: there is nothing to explain."""
        self._view = view
        self._changed.set()

    def _watch(self) -> None:
        while not self._ended:
            if self._changed.wait(self._seconds):
                self._changed.clear()
                continue
            with self.showing, suppress(ApiError):
                view = self._view
                if view is not None and not self._changed.is_set():
                    self._explain(view)
