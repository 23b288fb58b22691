"""Check promises P1 to P6 at the end of a history, and that a random history ended as planned."""

import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ai_coordination_engine.domain.statuses import TERMINAL_AGENT_STATES
from ai_coordination_engine.engine.control.reconcile import reconcile_session
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.store.models import Session, SessionAgent
from tests.kit.stage import TENANT, Stage

if TYPE_CHECKING:
    from tests.kit.outcomes import Outcomes


@dataclass
class Found:
    """How a session and its forks ended; `session` is None when it could not be started.

    `again`: it was run again; `cut`: it was cancelled; `deleted`: agents of it were deleted.
    """

    session: Session | None
    states: Mapping[str, str] = field(default_factory=dict)
    elements: Mapping[str, list[str]] = field(default_factory=dict)
    again: bool = False
    cut: bool = False
    deleted: bool = False
    is_fork: bool = False
    forks: list["Found"] = field(default_factory=list)

    def __str__(self) -> str:
        elements = {
            f"{name}[{index}]": state
            for name in self.elements
            for index, state in self._numbered(name)
        }
        told = ", ".join(f"{name}: {state}" for name, state in {**self.states, **elements}.items())
        status = self.session.status if self.session is not None else "never started"
        return "\n".join([f"{status}; {told}", *(f"fork: {each}" for each in self.forks)])

    def is_exact(self, expected: "Outcomes") -> bool:
        """Whether every agent must have ended as planned.

        Not for a fork of a plan with failures: what it copies may have ended after a failure, which
        it leaves out.
        """
        planned = {state for each in expected.states.values() for state in each}
        elements = {state for each in expected.elements.values() for state in each}
        is_plain = planned | elements == {"completed"}
        controlled = self.again or self.cut or self.deleted
        return expected.exact and not controlled and (is_plain or not self.is_fork)

    def _numbered(self, name: str) -> list[tuple[int, str]]:
        return list(enumerate(self.elements[name]))


def found(stage: Stage, session: Session, **known: bool) -> Found:
    """Return how a session stands now."""
    elements: dict[str, list[str]] = defaultdict(list)
    states: dict[str, str] = {}
    for each in stage.agents(session.session_uuid):
        if each.map_ordinal is None:
            states[each.agent_uuid] = each.state
        else:
            elements[each.agent_uuid].append(each.state)
    return Found(stage.session(session), states, elements, **known)


def check(stage: Stage, ended: Found, expected: "Outcomes") -> None:
    """Check P1–P6 at the end of a history, and that it ended as expected; a fork ends like its
    origin.

    A session that ran again may end before all reset agents do, because completed sinks are kept; a
    map that is expanded again keeps its old elements. Of a session that was cancelled, only the
    promises about its agents are checked.
    """
    assert stage.iam is None or stage.iam.refused == {}
    for each in [ended, *ended.forks]:
        if each.session is not None:
            _check_session(stage, each, expected)
    _check_parents(stage)
    assert stage.runtime.repeated == []
    assert stage.queue.waiting == []
    for each in [ended, *ended.forks]:
        # whoever ended it may have died before it said that its agents are
        if each.session is not None and each.session.watch_at is not None:
            reconcile_session(stage.app, TENANT, *each.session.key)
            assert stage.queue.waiting == []
    if ended.session is not None:
        # once more each, however often it was sent
        stage.queue.sent[:] = dict.fromkeys(stage.queue.sent)
        check_redelivery_changes_nothing(stage, ended.session)


def _check_session(stage: Stage, ended: Found, expected: "Outcomes") -> None:
    session: Any = ended.session
    agents: list[Any] = stage.agents(session.session_uuid)
    _check_end(ended, expected)
    if ended.is_exact(expected):
        assert [(each.in_degree, each.unfinished) for each in agents] == [(0, None)] * len(
            agents
        ), ended
    if session.status == "completed":
        assert (session.open_sink_count, session.open_sinks) == (0, None)
    assert session.unconfirmed is None
    for each in agents:
        if each.counter_shards is None:
            assert each.in_degree == len(each.unfinished or ())
        else:  # of counter shards, which are as wide as they are
            assert bool(each.in_degree) == bool(each.unfinished)
        assert each.state in TERMINAL_AGENT_STATES
    _check_attempts(stage, session, agents, deleted=ended.deleted)
    _check_outputs(stage, session, agents)


def _check_end(ended: Found, expected: "Outcomes") -> None:
    """Check the status of the session and the states of its agents."""
    session: Any = ended.session
    exact = ended.is_exact(expected)
    inexact = ended.again or ended.cut or ended.deleted or (ended.is_fork and not exact)
    more = {"skipped", "failed"} if inexact else set()
    more |= {"cancelled"} if ended.cut or ended.deleted else set()
    # nobody waits for what was deleted, however it had ended
    more |= {"completed"} if ended.deleted else set()
    statuses = (
        {"completed", "failed"}
        if ended.deleted or (ended.again and ended.cut)
        else expected.statuses
    )
    assert session.status in statuses | ({"cancelled"} if ended.cut else set()), ended
    assert ended.deleted or ended.cut or set(ended.states) == set(expected.states), ended
    assert set(ended.states) <= set(expected.states)
    wrong = {
        name: state
        for name, state in ended.states.items()
        if state not in expected.states[name] | more
    }
    assert wrong == {}, ended
    for name, states in ended.elements.items():
        natural = expected.elements[name]
        assert inexact or len(states) <= len(natural), ended
        assert set(states) <= {*natural, *([] if exact else ["skipped", "failed"]), *more}, ended
    if exact:
        assert {name: len(states) for name, states in ended.elements.items()} == {
            name: len(states) for name, states in expected.elements.items() if states
        }, ended


def _check_attempts(
    stage: Stage, session: Session, agents: list[SessionAgent], *, deleted: bool
) -> None:
    here = {each.session_agent_uuid for each in agents}
    runs = [
        each
        for each in stage.runs(session.session_uuid)
        if not deleted or each.session_agent_uuid in here
    ]
    attempts = Counter((run.session_agent_uuid, run.async_task["attempt"]) for run in runs)
    expected = [
        (each.session_agent_uuid, number + 1)
        for each in agents
        for number in range(each.attempt or 0)
    ]
    assert attempts == Counter(expected)
    requests = [each for each in stage.runtime.requests if each.session_agent_uuid in here]
    executed = Counter(request.run_uuid for request in requests)
    assert set(executed.values()) <= {1}
    assert set(executed) <= {run.run_uuid for run in runs}


def _check_parents(stage: Stage) -> None:
    """Check that every item has its parent; the database holds only this history."""
    assert stage.database is not None
    tables = {name.partition("-")[2]: table.items for name, table in stage.database.tables.items()}
    for parents, children in (
        ("coordinations", "sessions"),
        ("sessions", "session_agents"),
        ("sessions", "session_runs"),
    ):
        known = {key[1] for key in tables[parents]}
        keys = [
            key[0] for key in tables[children] if children == "sessions" or "  " not in key[0]
        ]  # but counters, jobs
        assert {each.rpartition(" ")[2] for each in keys} <= known, children


def _check_outputs(stage: Stage, session: Session, agents: list[Any]) -> None:
    """Check that an output is that of the latest attempt with a result.

    Later attempts only took over and died. An output that a fork copied is that of an attempt in
    another session.
    """
    with_result: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for run in stage.runs(session.session_uuid):
        if run.async_task["status"] in ("completed", "pending"):
            with_result[str(run.session_agent_uuid)].append(
                (run.async_task["attempt"], run.run_uuid)
            )
    executed = {request.run_uuid: request.agent_uuid for request in stage.runtime.requests}
    for each in agents:
        if each.state != "completed":
            continue
        answer = json.loads(each.agent_output)
        if not isinstance(answer, dict):
            continue  # it is a map, whose elements have one each
        if each.attempt:
            assert answer["run"] == max(with_result[each.session_agent_uuid])[1], each.agent_uuid
        else:
            assert executed[answer["run"]] == each.agent_uuid


def check_promises(
    stage: Stage,
    session: Session,
    *,
    status: str = "completed",
    states: Mapping[str, str] | None = None,
) -> None:
    """Check P2–P6 at the end of a history.

    `states` gives the states by agent when not all are `completed`.
    """
    agents: list[Any] = stage.agents(session.session_uuid)
    found: Any = stage.session(session)  # PynamoDB's types know no absent attribute
    assert (found.status, found.unconfirmed) == (status, None)
    if status == "completed" or states:
        expected_states = {"completed"} if not states and not found.early else None
        assert expected_states is None or {each.state for each in agents} == expected_states
        if not found.early:  # else a join that needed only some has left others behind
            assert [(each.in_degree, each.unfinished) for each in agents] == [(0, None)] * len(
                agents
            )
        assert (found.open_sink_count, found.open_sinks) == (0, None)
    if states:
        assert stage.states(session.session_uuid) == states
    for each in agents:
        assert each.in_degree == len(each.unfinished or ())
        assert each.state in TERMINAL_AGENT_STATES
    attempts = Counter(
        (run.session_agent_uuid, run.async_task["attempt"])
        for run in stage.runs(session.session_uuid)
    )
    expected = [
        (each.session_agent_uuid, number + 1)
        for each in agents
        for number in range(each.attempt or 0)
    ]
    assert attempts == Counter(expected)
    started = Counter(request.run_uuid for request in stage.runtime.requests)
    assert set(started.values()) <= {1}
    assert stage.runtime.repeated == []
    assert stage.queue.waiting == []


def check_redelivery_changes_nothing(stage: Stage, session: Session) -> None:
    """Check P4: deliver every message that was ever sent once more."""
    before, requests = stage.everything(session), len(stage.runtime.requests)
    for wake in list(stage.queue.sent):
        run_step(stage.worker_of(wake), wake)
    assert stage.everything(session) == before
    assert len(stage.runtime.requests) == requests
    assert stage.queue.waiting == []
