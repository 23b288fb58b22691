"""The order, the times and the totals of ListTasks (section 3.1.4 of the protocol)."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.a2a import wire
from ai_coordination_engine.served.a2a.errors import ProtocolError
from ai_coordination_engine.served.a2a.lists import list_tasks
from ai_coordination_engine.served.a2a.tasks import task_of
from ai_coordination_engine.served.tasks import served_task
from ai_coordination_engine.store.records import waiting
from tests.kit.fakes import asking
from tests.kit.stage import TENANT, Stage, stage_of

ASKING, DONE = "TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED"


@pytest.fixture
def stage(app: App) -> Stage:
    stage = stage_of(app)
    stage.define({"a": ""}, expose_as={"name": "echo"})
    by_person = {"a": {"user_in_the_loop": "ann"}}
    stage.define({"a": ""}, actions=by_person, expose_as={"name": "ask"})
    stage.define({"r": ""}, expose_as={"name": "ask-by-runtime"})
    stage.runtime.behaviours["r"] = asking("One?", "Two?")
    return stage


def begin(stage: Stage, name: str) -> str:
    """Start a session a second after what was before; return the id of the task."""
    stage.clock.advance(1)
    task = served_task(stage.app, TENANT, "a2a", name)
    return sessions.start(stage.app, TENANT, task, {"query": "x"}, protocol="a2a").handle


def run(stage: Stage) -> None:
    """Let all agents go on, five seconds after what was before."""
    stage.clock.advance(5)
    stage.drain()


def answer(stage: Stage, task: str) -> None:
    stage.clock.advance(1)
    sessions.answer(stage.app, TENANT, task, "a2a", "yes")


def listed(stage: Stage, **given: Any) -> dict[str, Any]:
    return list_tasks(stage.app, TENANT, wire.listing(given))


def ids(page: dict[str, Any]) -> list[str]:
    return [each["id"] for each in page["tasks"]]


def time_of(stage: Stage, task: str) -> str:
    """The time of the status, as the client sees it."""
    seen = sessions.look(stage.app, TENANT, task, "a2a")
    return str(task_of(seen)["status"]["timestamp"])


@pytest.mark.parametrize("name", ["ask", "ask-by-runtime"])
def test_a_question_and_its_answer_are_changes_of_the_status(stage: Stage, name: str) -> None:
    task = begin(stage, name)
    times = [time_of(stage, task)]
    run(stage)
    times.append(time_of(stage, task))
    answer(stage, task)
    times.append(time_of(stage, task))
    assert times == [f"2026-11-02T09:00:0{second}.000Z" for second in (1, 6, 7)]


@pytest.mark.parametrize("name", ["ask", "ask-by-runtime"])
def test_who_asks_for_changes_since_a_time_sees_a_question(stage: Stage, name: str) -> None:
    done, task = begin(stage, "echo"), begin(stage, name)
    before = time_of(stage, task)
    run(stage)
    stage.clock.advance(5)
    quiet = begin(stage, "ask")
    seen = time_of(stage, task)
    assert before < seen == time_of(stage, done) < time_of(stage, quiet)
    assert {*ids(listed(stage, statusTimestampAfter=seen))} == {done, task, quiet}
    assert ids(listed(stage, statusTimestampAfter=seen, status=ASKING)) == [task]
    later = seen.replace(".000Z", ".001Z")
    assert ids(listed(stage, statusTimestampAfter=later)) == [quiet]
    answer(stage, task)
    assert ids(listed(stage, statusTimestampAfter=later)) == [task, quiet]


def test_the_tasks_of_a_page_that_have_changed_last_come_first(stage: Stage) -> None:
    asks = begin(stage, "ask")
    run(stage)
    first, second = begin(stage, "echo"), begin(stage, "echo")
    assert ids(listed(stage)) == [second, first, asks]
    run(stage)
    answer(stage, asks)
    page = listed(stage)
    assert ids(page) == [asks, second, first]
    times = [each["status"]["timestamp"] for each in page["tasks"]]
    assert times == sorted(times, reverse=True)


def test_the_total_of_a_whole_list_is_that_of_its_tasks(stage: Stage) -> None:
    asks, done = begin(stage, "ask"), begin(stage, "echo")
    run(stage)
    begun = begin(stage, "echo")
    for state, found in ((ASKING, [asks]), (DONE, [done]), ("TASK_STATE_SUBMITTED", [begun])):
        page = listed(stage, status=state)
        assert (ids(page), page["totalSize"], page["nextPageToken"]) == (found, 1, "")
    assert listed(stage, status="TASK_STATE_WORKING")["totalSize"] == 0
    assert listed(stage, status=ASKING, contextId="another")["totalSize"] == 0


def test_pages_show_each_task_once_whatever_changes_meanwhile(stage: Stage) -> None:
    made = [begin(stage, "ask") for _ in range(5)]
    run(stage)
    seen, token = [], ""
    for _ in range(3):
        page = listed(stage, pageSize=2, pageToken=token)
        seen += ids(page)
        assert page["totalSize"] == 5
        token = page["nextPageToken"]
        answer(stage, seen[-1])
        run(stage)
    assert (sorted(seen), token) == (sorted(made), "")


@pytest.mark.parametrize("most", [1_000, 2])
def test_the_tasks_that_ask_are_found_among_those_that_do_not(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(waiting, "MAX_QUESTIONS", most)
    asks = {begin(stage, name) for name in ("ask", "ask-by-runtime", "ask")}
    run(stage)
    for _ in range(4):
        begin(stage, "echo")
    pages, token = [], ""
    while not pages or token:
        pages.append(listed(stage, status=ASKING, pageSize=2, pageToken=token))
        token = pages[-1]["nextPageToken"]
    sizes = [len(each["tasks"]) for each in pages]
    # with more questions than are read, all open sessions are looked at
    assert (sizes, pages[0]["totalSize"]) == (([2, 1], 3) if most > 3 else ([0, 0, 2, 1], 7))
    assert {task for each in pages for task in ids(each)} == asks


@pytest.mark.parametrize("token", ["q.x", "1q", "1q.x", "q1.x", "1qq.x", ".", "²q.x"])
def test_a_token_that_this_server_did_not_give_is_refused(stage: Stage, token: str) -> None:
    with pytest.raises(ProtocolError, match=r"^pageToken: ") as refused:
        listed(stage, pageToken=token)
    assert refused.value.field == "pageToken"
