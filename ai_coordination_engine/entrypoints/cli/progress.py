"""Show the states of a session's agents while they change."""

from types import TracebackType

from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ai_coordination_engine.entrypoints.cli.output import on_one_line
from ai_coordination_engine.entrypoints.cli.session_view import SessionView
from ai_coordination_engine.entrypoints.cli.terminal import Terminal

_STYLES = {
    "executing": "cyan",
    "wait_for_user_input": "yellow",
    "completed": "green",
    "failed": "red",
    "skipped": "dim",
    "cancelled": "dim",
}


class Progress:
    """A live table on a terminal; elsewhere one line for each change of a state.

    A line is also printed for the reason why an agent does not run.
    """

    def __init__(self, console: Terminal) -> None:
        self._console = console
        self._lines: dict[str, str] = {}
        self._live = Live(console=console, refresh_per_second=12) if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, view: SessionView) -> None:
        """Show the states of this session."""
        if self._live:
            self._live.update(_table(self._console, view), refresh=True)
            return
        for agent in view.agents:
            line = f"{on_one_line(agent.name)}: {agent.state}"
            if agent.why:
                line += f". {on_one_line(agent.why)}"
            elif self._lines.get(agent.session_agent_uuid, "").startswith(f"{line}. "):
                continue
            if self._lines.get(agent.session_agent_uuid) != line:
                self._lines[agent.session_agent_uuid] = line
                self._console.print(line)


def _spinner(console: Terminal) -> str:
    return "dots" if console.encoding.startswith("utf") else "line"


def _table(console: Terminal, view: SessionView) -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for agent in view.agents:
        style = _STYLES.get(agent.state, "dim")
        state: Text | Spinner = Text(agent.state, style)
        if agent.state == "executing":
            state = Spinner(_spinner(console), state, style=style)
        name = console.render_str(on_one_line(agent.name), style="bold")
        table.add_row(
            name,
            state,
            console.render_str((agent.why or agent.notes or "").split("\n")[0], style="dim"),
        )
    return table
