"""Threads: an agent on the primary path goes on with its predecessor's thread; the others open
their own.
"""

import json

import pytest

from ai_coordination_engine.domain import budget
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.runtime_ports import Message
from tests.kit.promises import check_promises
from tests.kit.stage import Stage, stage_of


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app, wants_thread=True)


def turn(given: str, answered: str) -> list[Message]:
    return [Message("user", given), Message("assistant", answered)]


def test_a_chain_shares_one_thread_and_hears_its_own_turns_in_order(stage: Stage) -> None:
    subtasks = [{"agent_uuid": uuid, "subtask_query": f"do {uuid}"} for uuid in "abc"]
    session = stage.start(stage.define({"a": "", "b": "a", "c": "b"}, subtasks=subtasks))
    stage.drain()
    a, b, c = stage.runtime.requests
    assert {a.thread_uuid, b.thread_uuid, c.thread_uuid} == {a.session_agent_uuid}
    assert list(a.thread) == []
    assert list(b.thread) == turn("do a", "A")
    assert list(c.thread) == turn("do a", "A") + turn("do b", "B")
    # what the thread holds is not said again
    assert [each.input for each in (a, b, c)] == ["do a", "do b", "do c"]
    assert [each.output for each in c.predecessors] == ["B"]
    assert {run.thread_uuid for run in stage.runs(session.session_uuid)} == {a.session_agent_uuid}


def test_what_is_read_back_for_a_thread_is_what_was_given_on_it(stage: Stage) -> None:
    subtasks = [{"agent_uuid": uuid, "subtask_query": f"do {uuid}"} for uuid in "abc"]
    stage.start(stage.define({"a": "", "b": "a", "c": "b"}, subtasks=subtasks))
    stage.drain(deadline=stage.clock.now().timestamp() + 1)  # no time for a second agent
    assert list(stage.runtime.requests[2].thread) == turn("do a", "A") + turn("do b", "B")


def test_an_output_that_is_not_in_the_thread_is_in_the_input(stage: Stage) -> None:
    actions = {"b": {"primary_path": False}}
    stage.start(stage.define({"a": "", "b": "a", "c": "ab"}, actions=actions))
    stage.drain()
    assert [each.input for each in stage.runtime.requests] == [
        "begin",
        "Output of a:\nA\n\nbegin",
        "Output of b:\nB\n\nbegin",
    ]


def test_the_input_of_an_http_agent_tells_all_for_it_may_not_look_at_the_thread(
    stage: Stage,
) -> None:
    agents = {"b": {"runtime": {"kind": "http", "url": "https://x.example"}}}
    stage.start(stage.define({"a": "", "b": "a"}, agents=agents))
    stage.drain()
    assert stage.runtime.requests[1].input == "Output of a:\nA\n\nbegin"
    assert list(stage.runtime.requests[1].thread) == turn("begin", "A")


def test_an_agent_off_the_primary_path_opens_a_thread_of_its_own(stage: Stage) -> None:
    actions = {"b": {"primary_path": False}}
    stage.start(stage.define({"a": "", "b": "a", "c": "b", "d": "a"}, actions=actions))
    stage.drain()
    by_agent = {request.agent_uuid: request for request in stage.runtime.requests}
    threads = {uuid: request.thread_uuid for uuid, request in by_agent.items()}
    own = {uuid: request.session_agent_uuid for uuid, request in by_agent.items()}
    assert threads == {"a": own["a"], "b": own["b"], "c": own["c"], "d": own["a"]}
    assert [list(by_agent[uuid].thread) for uuid in "bcd"] == [[], [], turn("begin", "A")]


def test_a_join_goes_on_with_the_first_predecessor_on_the_primary_path(stage: Stage) -> None:
    actions = {"b": {"primary_path": False}}
    stage.start(stage.define({"a": "", "b": "a", "c": "a", "d": "bc"}, actions=actions))
    stage.drain()
    by_agent = {request.agent_uuid: request for request in stage.runtime.requests}
    assert by_agent["d"].thread_uuid == by_agent["a"].session_agent_uuid
    assert [message.content for message in by_agent["d"].thread][1::2] == ["A", "C"]
    assert [(each.agent_uuid, each.output) for each in by_agent["d"].predecessors] == [
        ("b", "B"),
        ("c", "C"),
    ]


def test_two_branches_of_one_thread_do_not_hear_each_other(stage: Stage) -> None:
    stage.start(stage.define({"a": "", "b": "a", "c": "a", "d": "b", "e": "c"}))
    stage.drain()
    heard = {
        request.agent_uuid: [message.content for message in request.thread][1::2]
        for request in stage.runtime.requests
    }
    assert heard == {"a": [], "b": ["A"], "c": ["A"], "d": ["A", "B"], "e": ["A", "C"]}


def test_a_worker_that_takes_a_chain_over_reads_the_thread_from_the_store(stage: Stage) -> None:
    stage.start(stage.define({"a": "", "b": "a", "c": "b"}))
    # no time for a second agent: every hand-off is a message
    stage.drain(deadline=stage.clock.now().timestamp() + 1)
    assert [
        [message.content for message in request.thread][1::2] for request in stage.runtime.requests
    ] == [
        [],
        ["A"],
        ["A", "B"],
    ]
    assert len(stage.queue.sent) == 3


def test_a_runtime_that_wants_no_thread_costs_no_read_for_it(app: App) -> None:
    stage = stage_of(app)
    stage.start(stage.define({"a": "", "b": "a"}))
    stage.requests.clear()
    stage.drain()
    assert [list(request.thread) for request in stage.runtime.requests] == [[], []]
    assert "BatchGetItem" not in stage.requests


def test_a_thread_whose_texts_take_too_much_to_fill_again_fails_the_attempt(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    subtasks = [
        {"agent_uuid": "b", "subtask_query": "{a.max(@)}"},
        {"agent_uuid": "c", "subtask_query": "{b.max(@)}"},
    ]
    numbers = json.dumps(list(range(1_000)))
    stage.runtime.behaviours.update(dict.fromkeys("ab", lambda request: numbers))
    session = stage.start(stage.define({"a": "", "b": "a", "c": "b"}, subtasks=subtasks))
    monkeypatch.setattr(budget, "MAX_WORK", 5_000)  # of one of them
    stage.drain(deadline=stage.clock.now().timestamp() + 1)
    check_promises(stage, session, status="failed")
    assert stage.agent(session.session_uuid, "c").notes.startswith("max(@)")
