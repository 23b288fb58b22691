"""Ask people on the terminal, or give the answers of the command line."""

import shlex
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from ai_coordination_engine.client import BadUserInput, Conflict
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.failures import FAILED, Failure
from ai_coordination_engine.entrypoints.cli.output import on_one_line
from ai_coordination_engine.entrypoints.cli.session_view import AgentView
from ai_coordination_engine.entrypoints.cli.terminal import Terminal
from ai_coordination_engine.entrypoints.run_file.run_file import RunFile


class Answers:
    """The answers of `--answer WHO=TEXT`; WHO is an agent's name, or the person whom it asks.

    Several answers for one WHO are given one after the other.
    """

    def __init__(self, given: Sequence[str]) -> None:
        """Raises `Failure` for one that has another form."""
        self._texts: dict[str, deque[str]] = {}
        for each in given:
            who, separator, text = each.partition("=")
            if not (who.strip() and separator and text.strip()):
                raise Failure(f"--answer takes WHO=TEXT, such as reviewer=yes; not {each!r}.")
            self._texts.setdefault(who.strip(), deque()).append(text)

    def check(self, run: RunFile) -> None:
        """Raise `Failure` for an answer that no agent of the file can ask for.

        A runtime may ask for the approval of a tool call, or what a remote agent wants to know, so
        that each agent is accepted, and a person only where an action names one.
        """
        known = {str(action.get("user_in_the_loop") or "") for action in run.agent_actions.values()}
        for agent in run.agents:
            known |= {str(agent["agent_uuid"]), str(agent.get("agent_name") or "")}
        known.discard("")
        for who in self._texts:
            if who not in known and not run.plan:
                names = ", ".join(sorted(known))
                raise Failure(
                    f"--answer {who}=…: WHO is an agent of the file or a person whom it asks"
                    f" ({names}), not {who!r}."
                )

    def take(self, agent: AgentView) -> str | None:
        """Return the next answer for this agent; None if there is none."""
        for who in (agent.name, str(agent.record.agent_uuid), agent.asks):
            if self._texts.get(who):
                return self._texts[who].popleft()
        return None


def ask(console: Terminal, client: Client, agent: AgentView, answers: Answers) -> None:
    """Give the answer of the command line, or show a person the agent's input, or its plan, and ask
    until the API accepts the answer. Raises `Failure` if nobody can be asked.
    """
    given = answers.take(agent)
    if given is not None:
        console.print(f"{_asks(agent)}: {given}")
        with _refused(f"--answer for {agent.name}"):
            client.answer(agent.record, given)
        return
    if not sys.stdin.isatty():
        _send_default(console, client, agent)
        return
    _show(console, client, agent)
    while True:
        try:
            text = console.input(f"{_asks(agent)}: ", markup=False, emoji=False)
        except EOFError as error:
            raise Failure(
                f"{agent.name} still waits for an answer from {agent.person}.", FAILED
            ) from error
        if text.strip() and _is_accepted(console, client, agent, text):
            return


@contextmanager
def _refused(what: str) -> Iterator[None]:
    """An answer that somebody else has given already counts as given."""
    try:
        yield
    except Conflict:
        return
    except BadUserInput as error:
        raise Failure(f"{what} is refused: {error.message}") from error


def _show(console: Terminal, client: Client, agent: AgentView) -> None:
    """Show the plan that a person is asked about, or else the agent's input."""
    plan = agent.record.agent_output
    text = plan or client.agent_input(agent.record.session_uuid, agent.uuid)
    if text:
        what = "Plan" if plan else "Input"
        console.print(f"\n{what} of {on_one_line(agent.name)}:", style="bold")
        console.print("\n".join(f"  {line}" for line in text.rstrip().split("\n")))


def _asks(agent: AgentView) -> str:
    return f"{on_one_line(agent.name)} asks {on_one_line(agent.person)}"


def _send_default(console: Terminal, client: Client, agent: AgentView) -> None:
    if agent.default_answer is None:
        raise Failure(
            f"{agent.name} waits for an answer from {agent.person}; run it in a terminal, or with"
            f" --answer {shlex.quote(agent.asks or agent.name)}=TEXT.",
            FAILED,
        )
    console.print(
        f"{_asks(agent)}, and there is no terminal:"
        f" using the default answer: {on_one_line(agent.default_answer)}"
    )
    with _refused(f"the default answer of {agent.name}"):
        client.answer(agent.record, agent.default_answer)


def _is_accepted(console: Terminal, client: Client, agent: AgentView, text: str) -> bool:
    """Send an answer; False when the API rejects it and another may be given."""
    try:
        client.answer(agent.record, text)
    except BadUserInput as error:
        console.print(str(error))
        return False
    except Conflict as error:  # somebody else has answered
        console.print(str(error))
    return True
