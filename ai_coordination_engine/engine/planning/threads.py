"""Threads of questions: what a question continues, and who has answered before."""

from collections.abc import Sequence
from datetime import datetime

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain.graph import MAX_THREAD_TURNS
from ai_coordination_engine.domain.lifecycle.phases import is_ready
from ai_coordination_engine.domain.statuses import OPEN_AGENT_STATES
from ai_coordination_engine.engine.advance.questions import is_asked, is_first, is_open, is_there
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import SessionAgent


@dataclass(frozen=True)
class Thread:
    """The thread that a question continues: its name (None: a new one), and the session agents on
    it, oldest first, those that are not confirmed yet included.
    """

    uuid: str | None
    agents: Sequence[SessionAgent]

    @classmethod
    def of(
        cls, app: App, name: str | None, minutes: int | None, earlier: Sequence[SessionAgent]
    ) -> "Thread":
        """The thread of this name among the agents of a session; a new one when it is older than
        so many minutes, or the session does not know the name.
        """
        if name is None:
            return cls(None, [])
        turns = [each for each in earlier if each.thread_uuid == name and is_there(app, each)]
        seen = [each.updated_at for each in turns if each.unconfirmed is None]
        if seen and minutes is not None and _age(app, seen[-1]) > 60 * minutes:
            return cls(None, [])
        return cls(name, turns)

    @property
    def turns(self) -> list[int]:
        """The ordinals of the earlier turns that a question is given. One without an answer yet is
        given if it has one when the question is asked.
        """
        heard = [
            each.ordinal
            for each in self.agents
            if each.unconfirmed is None
            and is_first(each)
            and each.state in ("completed", *OPEN_AGENT_STATES)
        ]
        return heard[-MAX_THREAD_TURNS:]

    @property
    def last(self) -> SessionAgent | None:
        """The first agent of the last question, when that is still being answered."""
        asked = [each for each in self.agents if is_asked(each)]
        first = next((each for each in reversed(asked) if is_first(each)), None)
        if first is None or not is_open([each for each in asked if each.ordinal >= first.ordinal]):
            return None
        return first

    @property
    def unbegun(self) -> list[SessionAgent]:
        """Questions that could begin: the process that asked may have died before their message was
        sent.
        """
        asked = [each for each in self.agents if is_asked(each) and is_ready(each)]
        return [each for each in asked if not each.attempt and each.unconfirmed is None]

    @property
    def answered_last(self) -> str | None:
        """The agent (uuid) that has answered last."""
        answered = (
            each.agent_uuid
            for each in reversed(self.agents)
            if each.state == "completed" and each.stored("routed") is None
        )
        return next(answered, None)


def _age(app: App, moment: datetime) -> float:
    return (app.clock.now() - moment).total_seconds()
