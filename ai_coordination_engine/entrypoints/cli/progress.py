"""Show the states of a session's agents while they change."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ai_coordination_engine.entrypoints.cli.output import on_one_line
from ai_coordination_engine.entrypoints.cli.session_view import (
    OVER,
    WAITS,
    AgentView,
    SessionView,
)
from ai_coordination_engine.entrypoints.cli.terminal import Terminal

_STYLES = {
    "executing": "cyan",
    WAITS: "yellow",
    "completed": "green",
    "failed": "red",
    "skipped": "dim",
    "cancelled": "dim",
}
_COLUMNS = 4
_TOLD = (WAITS, "failed")
_NOTE = 300  # characters of a note on a line
MAX_LINES = 20
"""Of a map with more elements, only those in the states `_TOLD` have lines of their own."""
_FIRST = ("executing", WAITS, "failed", "pending", "initial", "completed", "skipped", "cancelled")
"""Which agents are shown where a terminal has too few lines, by their states."""


class Progress:
    """A live table on a terminal; elsewhere one line for each change of a state.

    A line is also printed for the reason why an agent does not run. Above the table it prints each
    failure once, and each question with `how_to_answer`, which makes a command for a session.
    """

    def __init__(
        self, console: Terminal, how_to_answer: Callable[[str], str] | None = None
    ) -> None:
        self._console = console
        self._how_to_answer = how_to_answer
        self._lines: dict[str, str] = {}
        self._told: set[tuple[str, object]] = set()
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None

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
            for line in self._news(view):
                self._console.print(line)
            self._live.update(_Shown(self._console, view), refresh=True)
            return
        elements = view.elements()
        for agent in view.agents:
            of_map = elements.get(agent.record.map_session_agent_uuid or "")
            if not (_is_large(of_map) and agent.state not in _TOLD):
                self._tell(agent, _so_far(elements.get(agent.uuid)))

    def _tell(self, agent: AgentView, so_far: str) -> None:
        line = f"{on_one_line(agent.name)}: {agent.state}{so_far}"
        if agent.why is None and self._lines.get(agent.uuid, "").startswith(f"{line}. "):
            return
        if words := _words(agent):
            line += f". {on_one_line(words)}"
        if self._lines.get(agent.uuid) != line:
            self._lines[agent.uuid] = line
            self._console.print(line)

    def _news(self, view: SessionView) -> Iterator[str]:
        """What was not told yet: questions, failures, and attempts after the first one."""
        if self._how_to_answer is not None:
            command = self._how_to_answer(view.session.session_uuid)
            for agent in view.waiting:
                if (agent.uuid, WAITS) not in self._told:
                    self._told.add((agent.uuid, WAITS))
                    person = on_one_line(agent.person)
                    yield f"{on_one_line(agent.name)} asks {person}: {command}"
        yield from self._failures(view)

    def _failures(self, view: SessionView) -> Iterator[str]:
        for agent in view.agents:
            has_failed = agent.state == "failed" or (agent.record.attempt or 1) > 1
            told = agent.uuid, (agent.state == "failed", agent.record.attempt)
            if has_failed and told not in self._told:
                self._told.add(told)
                what = "failed" if agent.state == "failed" else f"attempt {agent.record.attempt}"
                notes = on_one_line(agent.record.notes or "")
                yield f"{on_one_line(agent.name)}: {what}{notes and '. '}{notes}"


def _words(agent: AgentView) -> str:
    """Why it does not run, or else why its last attempt failed."""
    if agent.why:
        return agent.why.message
    return (agent.record.notes or "")[:_NOTE] if agent.state in ("pending", "failed") else ""


def _is_large(elements: Mapping[str, int] | None) -> bool:
    return elements is not None and sum(elements.values()) > MAX_LINES


def _so_far(elements: Mapping[str, int] | None) -> str:
    """How many elements of a large map have ended, in tenths of it: ` 600/1000`."""
    if elements is None or not _is_large(elements):
        return ""
    done, total = over(elements), sum(elements.values())
    return f" {done if done == total else done - done % (total // 10)}/{total}"


class _Shown:
    """The table of a session, made anew whenever it is drawn: times pass, and windows change."""

    def __init__(self, console: Terminal, view: SessionView) -> None:
        self._console, self._view = console, view

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [each for each in self._view.agents if not each.is_element]
        room = max(console.size.height - 3, 1)
        shown = rows if len(rows) <= room else _most_telling(rows, room)
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for _ in range(_COLUMNS):
            table.add_column(no_wrap=True, overflow="ellipsis")
        elements, whole = self._view.elements(), self._view.with_whole_maps()
        for agent in shown:
            shown_agent = whole.get(agent.uuid, agent)
            table.add_row(*_row(self._console, shown_agent, elements.get(agent.uuid, {})))
        yield table
        if len(shown) < len(rows):
            yield Text(f"… {len(rows) - len(shown)} more agents", "dim")


def _most_telling(rows: list[AgentView], room: int) -> list[AgentView]:
    """The rows that fit, in the order of the task: what runs, waits or failed before the rest."""
    chosen = sorted(rows, key=lambda each: _FIRST.index(each.state))[:room]
    kept = {each.uuid for each in chosen}
    return [each for each in rows if each.uuid in kept]


def _spinner(console: Terminal) -> str:
    return "dots" if console.encoding.startswith("utf") else "line"


def _row(
    console: Terminal, agent: AgentView, elements: Mapping[str, int]
) -> tuple[RenderableType, ...]:
    style = _STYLES.get(agent.state, "dim")
    state: RenderableType = Text(agent.state, style)
    if agent.state == "executing":
        state = Spinner(_spinner(console), Text(agent.state, style), style=style)
    words = agent.why.message if agent.why else agent.record.notes or ""
    if agent.state == WAITS:
        words = f"asks {agent.person}"
    return (
        console.render_str(on_one_line(agent.name), style="bold"),
        _bar(elements) if elements else state,
        Text(measures(agent, is_map=bool(elements)), "dim"),
        console.render_str(words.split("\n")[0], style="dim"),
    )


def _bar(elements: Mapping[str, int]) -> RenderableType:
    """The progress of a map, as a bar and as `37/60`."""
    done, total = over(elements), sum(elements.values())
    row = Table.grid(padding=(0, 1))
    row.add_row(ProgressBar(total, done, width=16), Text(f"{done}/{total}"))
    return row


def over(elements: Mapping[str, int]) -> int:
    """How many elements of a map have ended."""
    return sum(count for state, count in elements.items() if state in OVER)


def measures(agent: AgentView, *, is_map: bool = False) -> str:
    """The time of the latest attempt, its number if it is not the first, and the tokens; of a map
    the time of its elements.
    """
    found = []
    if agent.record.started_at is not None and (agent.state != "pending" or is_map):
        found.append(
            elapsed((agent.record.ended_at or datetime.now(UTC)) - agent.record.started_at)
        )
    if (agent.record.attempt or 1) > 1:
        found.append(f"attempt {agent.record.attempt}")
    if agent.tokens:
        found.append(f"{agent.tokens:,} tokens")
    return " · ".join(found)


def elapsed(time: timedelta) -> str:
    """A time as `0.4 s`, `12 s`, `3:07` or `2:03:07`; never negative: clocks differ."""
    seconds = max(time.total_seconds(), 0.0)
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
