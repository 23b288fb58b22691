"""The tokens of a session are summed by agent, and read at most once a second while it runs."""

from typing import Any

import pytest

from ai_coordination_engine.client import SessionView
from ai_coordination_engine.entrypoints.cli import tokens
from ai_coordination_engine.entrypoints.cli.tokens import Tokens
from tests.kit.views import record, view

RUNS = [("a", 5), ("a", 7), ("b", None), ("c", 1)]


def found(status: str = "in_progress", agents: int = 1, uuid: str = "s") -> SessionView:
    fields = dict(view([]).session) | {"status": status, "session_uuid": uuid}
    agents_of_it = [record(str(number)) for number in range(agents)]
    return SessionView.model_construct(**fields, session_agents=agents_of_it)


class Reads:
    """Answers the runs, and counts how often."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, document: str, variables: Any) -> dict[str, Any]:
        self.count += 1
        runs = [{"sessionAgentUuid": uuid, "totalTokens": total} for uuid, total in RUNS]
        return {"session": {"sessionRuns": runs}}


def test_they_are_read_once_a_second_and_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(tokens.time, "monotonic", lambda: now[0])
    reads = Reads()
    of = Tokens(reads).of
    assert [of(found()), of(found())] == [{"a": 12, "c": 1}] * 2
    assert reads.count == 1
    now[0] += 1.0
    of(found())
    assert reads.count == 2
    of(found("completed"))
    of(found(uuid="another"))
    assert reads.count == 4


def test_those_of_a_very_large_session_are_not_read() -> None:
    reads = Reads()
    assert Tokens(reads).of(found(agents=501)) == {}
    assert reads.count == 0
