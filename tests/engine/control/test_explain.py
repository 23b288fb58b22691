from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ai_coordination_engine.domain.ids import child_uuid
from ai_coordination_engine.domain.statuses import AGENT_STATES, SESSION_STATUSES
from ai_coordination_engine.engine.control.explain import (
    NAMED,
    Scene,
    Why,
    counter_shard_keys,
    explain,
    neighbours,
)
from ai_coordination_engine.engine.graph.keys import agent_key
from ai_coordination_engine.store.models import CounterShard, Session, SessionAgent
from ai_coordination_engine.store.payload import BlobReference
from ai_coordination_engine.store.transitions.counter_shards import join_key

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 2, 9, 5, tzinfo=UTC)
SOON = LATER.timestamp()
SWEPT = datetime(2026, 11, 2, 9, 15, tzinfo=UTC)


def agent(ordinal: int | None = 5, **values: Any) -> SessionAgent:
    """An agent as the engine stores it: one whose attempt goes on elsewhere has its run."""
    uuid = child_uuid("s", ordinal or 0, NOW)
    usual = {
        "ordinal": ordinal,
        "agent_uuid": f"agent-{ordinal}",
        "state": "initial",
        "in_degree": 0,
    }
    goes_on = {"run_uuid": "run"} if "async_task_uuid" in values or "acting" in values else {}
    return SessionAgent("s", uuid, **{**usual, **goes_on, **values})


def session(**values: Any) -> Session:
    return Session("c", "s", **{"status": "in_progress", **values})


def why(
    of: SessionAgent, others: list[SessionAgent] | None = None, unfinished: int = 0, **values: Any
) -> Why:
    scene = Scene(session(**values), others or [], unfinished, NOW.timestamp())
    return explain(of, scene)


def test_an_agent_that_waits_names_whom_it_waits_for_and_what_they_do() -> None:
    others = [
        agent(0, state="executing", attempt=2, definition={"agent_name": "Reader"}),
        agent(1, state="wait_for_user_input", awaits_user="ann"),
        agent(2, state="pending", async_task_uuid="job"),
        agent(3),
    ]
    found = why(agent(in_degree=4, unfinished={0, 1, 2, 3}), others, 4)
    assert found == Why(
        "WAITS_FOR_PREDECESSORS",
        "It waits for 4 unfinished predecessors: Reader (executing, attempt 2), agent-1 (waits for"
        " ann), agent-2 (waits for a long job), agent-3 (initial).",
        waits_for=others,
        details={"unfinished": 4},
    )


def test_a_predecessor_that_has_ended_points_to_the_sweep() -> None:
    others = [agent(0, state="completed"), agent(1, state="executing", attempt=1)]
    found = why(agent(in_degree=2, unfinished={0, 1}), others, 2, watch_at=SWEPT.timestamp())
    assert (
        found.message
        == "It waits for 2 unfinished predecessors: agent-0 (completed), agent-1 (executing,"
        " attempt 1). Those that have ended hand off in a moment. The sweep looks after it at"
        " 2026-11-02T09:15:00+00:00; reconcileSession does so now."
    )
    assert found.waits_for == [others[1]]


def test_a_join_that_needs_some_says_how_many() -> None:
    found = why(
        agent(in_degree=3, still_needed=1, unfinished={0, 1, 2}), [agent(0), agent(1), agent(2)], 3
    )
    assert found.code == "WAITS_FOR_PREDECESSORS"
    assert found.message.startswith(
        "It needs 1 more of 3 unfinished predecessors: agent-0 (initial), "
    )
    assert found.details == {"unfinished": 3, "missing": 1}


def test_a_join_that_has_enough_waits_for_a_worker() -> None:
    assert why(agent(in_degree=2, still_needed=0, unfinished={0, 1})).code == "WAITS_FOR_WORKER"


def test_a_wide_join_names_some_and_counts_all() -> None:
    found = why(
        agent(in_degree=500, unfinished={0, 1}, counter_shards=5), [agent(0), agent(1)], 437
    )
    assert (
        found.message
        == "It waits for 437 unfinished predecessors: agent-0 (initial), agent-1 (initial), and 435"
        " more."
    )
    assert found.details == {"unfinished": 437}


def test_a_map_waits_for_its_elements() -> None:
    elements = [
        agent(60_000 + index, map_ordinal=5, agent_uuid="m", state="executing", attempt=1)
        for index in (0, 7)
    ]
    found = why(
        agent(agent_uuid="m", state="pending", mapped=9, generation=1, in_degree=2), elements, 2
    )
    assert found.code == "WAITS_FOR_ELEMENTS"
    assert (
        found.message
        == "It waits for 2 of its 9 elements: m #0 (executing, attempt 1), m #7 (executing,"
        " attempt 1)."
    )
    assert found.details == {"unfinished": 2, "elements": 9}


@pytest.mark.parametrize(
    ("values", "code", "message", "until"),
    [
        (
            {"state": "executing", "attempt": 2, "lease_until": SOON},
            "EXECUTING",
            "It is running: attempt 2 has until 2026-11-02T09:05:00+00:00.",
            LATER,
        ),
        (
            {"state": "executing", "attempt": 2, "lease_until": NOW.timestamp() - 1},
            "LEASE_EXPIRED",
            (
                "Attempt 2 was lost: its lease ran out at 2026-11-02T08:59:59+00:00."
                " reconcileSession sends lost messages again."
            ),
            None,
        ),
        (
            {"state": "executing", "attempt": 2, "lease_until": 0},
            "LEASE_EXPIRED",
            (
                "Attempt 2 was lost: its worker met an error. reconcileSession sends lost messages"
                " again."
            ),
            None,
        ),
        *(
            (
                {
                    "state": state,
                    "attempt": 2,
                    "lease_until": -1,
                    "acting": acting,
                    "async_task_uuid": job,
                },
                "WAITS_FOR_BACKEND",
                (
                    f"The backend refused {what} for now, or did not answer; it is tried again"
                    " until that has passed. reconcileSession sends lost messages again."
                ),
                None,
            )
            for state, acting, job, what in (
                ("executing", None, None, "attempt 2"),
                ("pending", True, None, "the action function on its answer"),
                ("pending", None, "job", "attempt 2"),
            )
        ),
        (
            {"state": "executing"},
            "EXECUTING",
            "A client says that it is executing; the engine holds no lease.",
            None,
        ),
        (
            {"state": "pending", "acting": True, "attempt": 1, "lease_until": SOON},
            "ACTING",
            (
                "The action function on its answer runs, until 2026-11-02T09:05:00+00:00 at the"
                " latest."
            ),
            LATER,
        ),
        (
            {
                "state": "pending",
                "attempt": 2,
                "failures": 2,
                "not_before": SOON,
                "notes": "too busy",
            },
            "BACKOFF",
            "Attempt 2 failed (too busy); the next begins at 2026-11-02T09:05:00+00:00.",
            LATER,
        ),
        (
            {"state": "pending", "async_task_uuid": "job", "due_at": SOON},
            "WAITS_FOR_ASYNC_TASK",
            (
                "It waits for the long job job; completeAsyncTask ends it. Without a heartbeat"
                " until 2026-11-02T09:05:00+00:00, the attempt fails."
            ),
            LATER,
        ),
        (
            {"state": "wait_for_user_input", "awaits_user": "ann"},
            "WAITS_FOR_USER",
            "It waits for the answer of ann, in the inbox.",
            None,
        ),
        (
            {"state": "wait_for_user_input", "awaits_user": "ann", "due_at": SOON},
            "WAITS_FOR_USER",
            (
                "It waits for the answer of ann, in the inbox. Without one at"
                " 2026-11-02T09:05:00+00:00 it has failed."
            ),
            LATER,
        ),
        (
            {
                "state": "wait_for_user_input",
                "awaits_user": "ann",
                "due_at": SOON,
                "agent_action": {"default_answer": "yes"},
            },
            "WAITS_FOR_USER",
            (
                "It waits for the answer of ann, in the inbox. Without one at"
                " 2026-11-02T09:05:00+00:00 the default answer is taken."
            ),
            LATER,
        ),
        (
            {"in_degree": 0},
            "WAITS_FOR_WORKER",
            (
                "It is ready: its message waits for a worker. reconcileSession sends lost messages"
                " again."
            ),
            None,
        ),
        (
            {"state": "pending", "not_before": NOW.timestamp() - 1},
            "WAITS_FOR_WORKER",
            (
                "It is ready: its message waits for a worker. reconcileSession sends lost messages"
                " again."
            ),
            None,
        ),
        ({"state": "completed"}, "COMPLETED", "It has run and completed.", None),
        (
            {"state": "failed", "notes": "no idea"},
            "FAILED",
            "It has failed (no idea).",
            None,
        ),
        ({"state": "cancelled"}, "CANCELLED", "It was cancelled.", None),
        (
            {"state": "skipped"},
            "SKIPPED",
            "It was skipped: no condition led to it, no function chose it, or a person ended it.",
            None,
        ),
        (
            {"ordinal": None},
            "NOT_PLANNED",
            "A client wrote this agent; the engine does not run it and clients move its state.",
            None,
        ),
    ],
)
def test_every_state_has_a_code_and_words(
    values: dict[str, Any], code: str, message: str, until: Any
) -> None:
    found = why(agent(**{"ordinal": 5, **values}))
    assert (found.code, found.message, found.until) == (code, message, until)


def test_a_wait_for_a_person_says_since_when() -> None:
    found = why(
        agent(
            state="wait_for_user_input",
            awaits_user="ann",
            waits_since="2026-11-02T08:00:00.000000+00:00#a",
        )
    )
    assert found.details == {"user": "ann", "since": "2026-11-02T08:00:00.000000+00:00"}


def test_a_lost_attempt_says_when_the_sweep_comes() -> None:
    found = why(agent(state="executing", attempt=1, lease_until=1.0), watch_at=SWEPT.timestamp())
    assert (found.code, found.until) == ("LEASE_EXPIRED", SWEPT)


def test_what_a_backend_refused_waits_for_the_end_of_a_pause_too() -> None:
    found = why(
        agent(paused="token", state="pending", async_task_uuid="job", lease_until=-1),
        status="paused",
    )
    assert (found.code, found.details["then"]) == ("PAUSED", "WAITS_FOR_BACKEND")


def test_a_paused_agent_says_what_comes_after_the_pause() -> None:
    found = why(
        agent(paused="token", state="wait_for_user_input", awaits_user="ann"), status="paused"
    )
    assert found.code == "PAUSED"
    assert (
        found.message == "The session is paused until it is resumed. Then: It waits for the"
        " answer of ann, in the inbox."
    )
    assert found.details["then"] == "WAITS_FOR_USER"


def test_the_sweep_does_not_look_after_what_a_pause_holds_up() -> None:
    watched = {"status": "paused", "watch_at": SWEPT.timestamp()}
    found = why(agent(), **watched)
    assert (found.code, found.until) == ("PAUSED", None)
    assert (
        found.message == "The session is paused until it is resumed. Then: It is ready: its message"
        " waits for a worker."
    )
    lost = why(agent(paused="token", state="executing", attempt=1, lease_until=1.0), **watched)
    assert (lost.code, lost.until) == ("LEASE_EXPIRED", None)
    assert (
        lost.message
        == "Attempt 1 was lost: its lease ran out at 1970-01-01T00:00:01+00:00. The session is"
        " paused until it is resumed."
    )


def test_an_attempt_that_runs_in_a_paused_session_is_executing() -> None:
    assert (
        why(agent(paused="token", state="executing", lease_until=SOON), status="paused").code
        == "EXECUTING"
    )


def test_an_agent_of_a_session_that_is_set_back_waits_for_that() -> None:
    set_back: dict[str, Any] = {"status": "in_transit", "restart": {"from": None}}
    assert why(agent(), **set_back) == Why(
        "RESTARTING",
        "The session is being reset to run again; reconcileSession finishes that now.",
    )
    assert why(agent(), status="in_transit").code == "WAITS_FOR_WORKER"
    ended = why(agent(state="completed"), **set_back, watch_at=SWEPT.timestamp())
    assert ended == Why(
        "RESTARTING",
        "The session is being reset to run again; the sweep finishes that at"
        " 2026-11-02T09:15:00+00:00, reconcileSession does so now. Until then: It has run and"
        " completed.",
        SWEPT,
        details={"until_then": "COMPLETED"},
    )
    assert why(agent(None, state="completed"), **set_back).code == "COMPLETED"
    assert why(agent(state="completed"), status="in_transit").code == "COMPLETED"


def test_nothing_begins_in_a_session_that_has_ended() -> None:
    found = why(agent(in_degree=0), status="cancelled")
    assert (found.code, found.message) == (
        "SESSION_ENDED",
        "The session is cancelled; nothing is begun in it any more.",
    )
    gone = explain(agent(), Scene(None, [], 0, 0))
    assert gone.message == "The session is gone; nothing is begun in it any more."


def test_a_skip_names_the_failure_that_it_follows_from() -> None:
    others = [agent(0, state="failed"), agent(1, state="completed")]
    found = why(agent(state="skipped", upstream_failed=True), others)
    assert found.message == "It was skipped because of a failure before it: agent-0 (failed)."
    assert found.details == {"upstream_failed": True}
    propagated = why(agent(state="skipped"), [agent(0, state="skipped")])
    assert (
        propagated.message
        == "It was skipped because of what was skipped before it: agent-0 (skipped)."
    )
    ended = why(agent(state="skipped"), [agent(0, state="completed")], status="failed")
    assert ended.message == "It was skipped: the session is failed; retrySession tries again."


def before(ordinal: int, *edge: Any, **values: Any) -> SessionAgent:
    """A completed predecessor with an edge to agent 5, behind another edge."""
    return agent(ordinal, **{"state": "completed", "successors": [[4, 1], [5, 1, *edge]], **values})


CUT_OFF = {"state": "skipped", "unsatisfied": True}
GENERAL = "It was skipped: no condition led to it, no function chose it, or a person ended it."


@pytest.mark.parametrize(
    ("others", "message"),
    [
        (
            [before(0, "all", "ok == `true`", definition={"agent_name": "Reader"}), before(1)],
            'It was skipped: the condition "ok == `true`" on the output of Reader was not met.',
        ),
        (
            [before(0, "all", "x" * 201)],
            f'It was skipped: the condition "{"x" * 200}…" on the output of agent-0 was not met.',
        ),
        (
            [before(0, "all", "ok"), before(1, "all", "good")],
            (
                'It was skipped: of the conditions "ok" on the output of agent-0, "good" on the'
                " output of agent-1 too few were met."
            ),
        ),
        (
            [before(0, "all", "ok", "agent-5", chosen=["agent-4"])],
            "It was skipped: the action function of agent-0 chose others.",
        ),
        (
            [before(0, "all", None, "agent-5", chosen=[])],
            "It was skipped: the action function of agent-0 chose none.",
        ),
        (
            [before(0, "all", "ok", "agent-5", chosen=["agent-5"])],
            'It was skipped: the condition "ok" on the output of agent-0 was not met.',
        ),
        ([before(0)], GENERAL),
        ([before(0, "all", "ok"), before(1, state="executing")], GENERAL),
        ([before(0, "all", "ok"), before(1, successors=BlobReference("x"))], GENERAL),
        ([before(0, "all", "ok", "agent-5", chosen=BlobReference("x"))], GENERAL),
    ],
)
def test_a_skip_names_the_condition_or_the_choice_that_led_elsewhere(
    others: list[SessionAgent], message: str
) -> None:
    found = why(agent(**CUT_OFF, predecessors=list(range(len(others)))), others)
    assert (found.code, found.message, found.details) == (
        "SKIPPED",
        message,
        {"upstream_failed": False},
    )


def test_a_skip_whose_reason_is_not_certain_is_told_in_general_words() -> None:
    conditional = [before(0, "all", "ok")]
    # a person did it
    assert why(agent(state="skipped", predecessors=[0]), conditional).message == GENERAL
    # the other was not read
    assert why(agent(**CUT_OFF, predecessors=[0, 1]), conditional).message == GENERAL
    assert why(agent(**CUT_OFF, predecessors=BlobReference("x")), conditional).message == GENERAL


def test_a_join_that_needed_some_names_the_conditions_once_too_few_are_left() -> None:
    conditional = [before(0, "any", "ok")]
    skipped = {"state": "skipped", "predecessors": [0], "still_needed": 1}
    assert why(agent(**skipped, in_degree=1), conditional).message == GENERAL
    assert (
        why(agent(**skipped, in_degree=0), conditional).message
        == 'It was skipped: the condition "ok" on the output of agent-0 was not met.'
    )


@pytest.mark.parametrize("state", AGENT_STATES)
@pytest.mark.parametrize("status", SESSION_STATUSES)
def test_there_is_an_answer_for_every_state_in_every_session(state: str, status: str) -> None:
    found = why(agent(state=state), status=status)
    assert found.code.isupper()
    assert found.message.endswith(".")


# What has to be read


def test_the_first_unfinished_predecessors_are_read() -> None:
    waiting = agent(50, in_degree=30, unfinished=set(range(30)))
    assert counter_shard_keys(waiting) == []
    assert neighbours(waiting, []) == [agent_key(waiting, ordinal) for ordinal in range(NAMED)]


def test_of_a_wide_join_the_first_counter_shard_is_read_and_then_whom_it_waits_for() -> None:
    waiting = agent(500, in_degree=300, unfinished={2, 1}, counter_shards=5)
    assert counter_shard_keys(waiting) == [join_key(("s", waiting.session_agent_uuid), 0, 1)]
    counter_shard = CounterShard("x", "y", unfinished={7, 3})
    assert neighbours(waiting, [counter_shard]) == [agent_key(waiting, 3), agent_key(waiting, 7)]


@pytest.mark.parametrize("state", ["executing", "completed", "wait_for_user_input"])
def test_nothing_is_read_for_who_waits_for_nobody(state: str) -> None:
    found = agent(state=state, predecessors=[0, 1], unfinished={0}, counter_shards=3)
    assert (counter_shard_keys(found), neighbours(found, [])) == ([], [])
    assert neighbours(agent(None, state="initial"), []) == []


def test_for_a_skip_the_predecessors_are_read() -> None:
    skipped = agent(state="skipped", predecessors=[0, 1])
    assert neighbours(skipped, []) == [agent_key(skipped, 0), agent_key(skipped, 1)]


def test_a_long_job_is_explained_by_what_was_heard_of_it_last() -> None:
    waiting = agent(state="pending", async_task_uuid="job", due_at=SOON)
    scene = Scene(session(), [], 0, NOW.timestamp())
    found = explain(
        waiting, replace(scene, job={"status": "pending", "heartbeat_until": SWEPT.isoformat()})
    )
    assert (found.code, found.until) == ("WAITS_FOR_ASYNC_TASK", SWEPT)
    found = explain(waiting, replace(scene, job={"status": "completed"}))
    assert (found.code, found.until) == ("WAITS_FOR_WORKER", None)
    assert (
        found.message
        == "The long job job is completed; a message that says so waits for a worker. "
        "reconcileSession sends lost messages again."
    )
