"""The console on which `ace` talks to people."""

from typing import Any

from rich.console import Console
from rich.text import Text

from ai_coordination_engine.entrypoints.cli.output import mute, visible


class Terminal(Console):
    """Shows texts as they are: no markup, no emoji codes, no control of the terminal.

    When its reader has gone the command ends (standard output) or goes on in silence (standard
    error).
    """

    def __init__(self, *, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Every string that is printed comes by here."""
        return super().render_str(visible(text), **options)

    def on_broken_pipe(self) -> None:
        """Called instead of a `BrokenPipeError`."""
        self.quiet = True
        mute(self.file)
        if not self.stderr:
            raise SystemExit(0)
