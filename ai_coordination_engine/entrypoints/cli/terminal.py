"""The console on which `ace` writes messages for people."""

import threading
from typing import Any

from rich.console import Console
from rich.text import Text

from ai_coordination_engine.entrypoints.cli.output import mute, visible


class Terminal(Console):
    """Prints texts literally: no markup, no emoji codes, no terminal controls.

    When the reader closes the pipe, the command ends (stdout) or continues silently (stderr).
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape terminal controls; rich calls this for every string that is printed."""
        return super().render_str(visible(text), **options)

    def wait_until_interrupted(self) -> None:
        """Wait for Ctrl-C."""
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            self.print("Stopping.")

    def on_broken_pipe(self) -> None:
        """End the command, or continue silently; rich calls this instead of raising
        `BrokenPipeError`.
        """
        self.quiet = True
        mute(self.file)
        if not self.stderr:
            raise SystemExit(0)
