"""Triage: an agent that is asked chooses who goes on with the question."""

import json
from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.planning.ask import Asked, Question, ask
from ai_coordination_engine.engine.waits.people import execute_for_user_input
from ai_coordination_engine.runtime_ports import AgentRequest
from ai_coordination_engine.store.models import Session
from ai_coordination_engine.store.records.entities import COORDINATION, SESSION
from tests.kit.fakes import Behaviour, failing
from tests.kit.stage import TENANT, Stage, stage_of

KINDS = {
    "desk": {"agent_type": "triage", "agent_name": "Desk"},
    "bills": {"agent_name": "Billing", "agent_description": "Knows invoices."},
    "tech": {"agent_description": "Repairs."},
    "back": {"agent_type": "triage"},
}


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app, wants_thread=True)


@pytest.fixture
def coordination(stage: Stage) -> str:
    return stage.define(dict.fromkeys(KINDS, ""), agents=KINDS)[0]


def choose(agent: str, query: str = "", reason: str = "because") -> str:
    return json.dumps({"agent": agent, "reason": reason, "query": query})


def answering(*texts: str) -> Behaviour:
    """One text after the other; the last one from then on."""
    left = list(texts)
    return lambda request: left.pop(0) if len(left) > 1 else left[0]


def put(stage: Stage, coordination: str, query: str = "Why so much?", **more: Any) -> Asked:
    return ask(stage.app, TENANT, Question(coordination, query, **more))


def said(stage: Stage, asked: Asked) -> list[tuple[str, str, str | None]]:
    """Each session agent: who, its state, and its output."""
    return [
        (each.agent_uuid, each.state, each.agent_output)
        for each in stage.agents(asked.session_uuid)
    ]


def requests(stage: Stage, agent: str) -> list[AgentRequest]:
    return [each for each in stage.runtime.requests if each.agent_uuid == agent]


def choices(request: AgentRequest) -> list[str]:
    assert request.output_schema is not None
    names: list[str] = request.output_schema["properties"]["agent"]["enum"]
    return names


def the_agent(stage: Stage, asked: Asked, agent: str) -> Any:
    return stage.agent(asked.session_uuid, agent)


def test_the_router_is_told_the_others_and_the_chosen_one_answers_on_the_same_thread(
    stage: Stage, coordination: str
) -> None:
    stage.runtime.behaviours |= {
        "desk": answering(choose("bills", "Explain invoice 7.")),
        "bills": answering("It is VAT."),
    }
    files = [{"file_name": "a.txt"}]
    asked = put(stage, coordination, user_id="ann", input_files=files)
    stage.drain()
    desk, bills = stage.runtime.requests
    assert (asked.agent_uuid, desk.agent_uuid, bills.agent_uuid) == ("desk", "desk", "bills")
    assert choices(desk) == ["bills", "tech", "back", "none", "ask_user"]
    assert "- bills: Billing. Knows invoices.\n- tech: Repairs.\n" in desk.instructions
    assert desk.input == "Why so much?"
    assert (bills.input, bills.task_query) == ("Explain invoice 7.", "Why so much?")
    assert (desk.query, desk.task_query) == ("Why so much?", "Why so much?")
    assert (bills.output_schema, bills.thread, bills.input_files) == (None, [], files)
    assert bills.instructions == "Knows invoices."
    assert {desk.thread_uuid, bills.thread_uuid} == {asked.thread_uuid}
    assert said(stage, asked) == [
        ("desk", "completed", choose("bills", "Explain invoice 7.")),
        ("bills", "completed", "It is VAT."),
    ]
    assert stage.queue.waiting == []


def test_the_run_of_the_router_keeps_the_choice_and_its_reason(
    stage: Stage, coordination: str
) -> None:
    stage.runtime.behaviours["desk"] = answering(choose("bills", "q", "It is about money."))
    asked = put(stage, coordination)
    stage.drain()
    runs = {run.agent_uuid: run for run in stage.runs(asked.session_uuid)}
    assert runs["desk"].run_uuid == asked.run_uuid
    assert runs["desk"].async_task["choice"] == {
        "agent": "bills",
        "reason": "It is about money.",
        "query": "q",
    }
    assert "choice" not in runs["bills"].async_task
    assert "about money" not in str(requests(stage, "bills")[0])


def test_without_a_query_the_question_itself_is_handed_on(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours["desk"] = answering(choose("tech", "  "))
    put(stage, coordination)
    stage.drain()
    assert requests(stage, "tech")[0].input == "Why so much?"


def test_none_answers_itself(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours["desk"] = answering(choose("none", "Hello!"))
    asked = put(stage, coordination, "Hi")
    stage.drain()
    assert said(stage, asked) == [("desk", "completed", "Hello!")]
    (run,) = stage.runs(asked.session_uuid)
    assert run.async_task["choice"]["agent"] == "none"


@pytest.mark.parametrize(
    ("answer", "note"),
    [
        ("Bills, I guess.", 'it is not valid JSON; it begins: "Bills, I guess."'),
        (
            choose("nobody"),
            "at /agent, 'nobody' is not one of ['bills', 'tech', 'back', 'none', 'ask_user']",
        ),
        (
            choose("desk"),
            "at /agent, 'desk' is not one of ['bills', 'tech', 'back', 'none', 'ask_user']",
        ),
        ('{"agent": "bills", "reason": "r"}', "at /, 'query' is a required property"),
        (choose("none"), "at /query, it is empty, but with 'none' it is your answer to the user"),
        (
            choose("ask_user", " "),
            "at /query, it is empty, but with 'ask_user' it is your question",
        ),
    ],
)
def test_an_answer_outside_the_schema_is_asked_for_once_more_and_then_fails_with_a_note(
    stage: Stage, coordination: str, answer: str, note: str
) -> None:
    stage.runtime.behaviours["desk"] = answering(answer)
    asked = put(stage, coordination)
    stage.drain()
    desk = the_agent(stage, asked, "desk")
    assert (desk.state, desk.attempt) == ("failed", 2)
    assert desk.notes.startswith(f"The answer cannot be used: {note}")
    assert [each.correction for each in stage.runtime.requests] == [None, desk.notes]
    assert len(said(stage, asked)) == 1


def test_ask_user_waits_in_the_inbox_and_the_router_chooses_again(
    stage: Stage, coordination: str
) -> None:
    stage.runtime.behaviours["desk"] = answering(
        choose("ask_user", "Which invoice?"), choose("bills", "Explain 7.")
    )
    asked = put(stage, coordination, user_id="ann")
    stage.drain()
    first, waiting = stage.agents(asked.session_uuid)
    assert (first.state, waiting.state) == ("completed", "wait_for_user_input")
    assert (waiting.awaits_user, waiting.inbox, waiting.notes) == (
        "ann",
        TENANT,
        "Which invoice?",
    )
    execute_for_user_input(
        stage.app, TENANT, asked.session_uuid, waiting.session_agent_uuid, "Seven."
    )
    stage.drain()
    assert requests(stage, "desk")[1].input == (
        "Why so much?\n\nThe user was asked:\nWhich invoice?\n\nAnswer of the user:\nSeven."
    )
    assert [each[:2] for each in said(stage, asked)] == [
        ("desk", "completed"),
        ("desk", "completed"),
        ("bills", "completed"),
    ]
    assert requests(stage, "bills")[0].task_query == "Why so much?"


def test_what_the_user_has_answered_goes_with_the_question(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours |= {
        "desk": answering(
            choose("ask_user", "Which invoice?"),
            choose("bills"),
            choose("ask_user", "Which year?"),
            choose("none", "Done."),
        ),
        "bills": answering('{"decline": "no"}'),
    }
    asked = put(stage, coordination, user_id="ann")
    for answer in ("Seven.", "2026."):
        stage.drain()
        waiting = stage.agents(asked.session_uuid)[-1]
        execute_for_user_input(stage.app, TENANT, *waiting.key, answer)
    stage.drain()
    known = "Why so much?\n\nThe user was asked:\nWhich invoice?\n\nAnswer of the user:\nSeven."
    more = "\n\nThe user was asked:\nWhich year?\n\nAnswer of the user:\n2026."
    told = [each.input for each in requests(stage, "desk")]
    assert told == ["Why so much?", known, known, f"{known}{more}"]
    assert requests(stage, "bills")[0].input == known
    assert {each.task_query for each in stage.runtime.requests} >= {"Why so much?"}


def test_a_user_is_asked_as_often_as_a_question_is_handed_on(
    stage: Stage, coordination: str
) -> None:
    stage.runtime.behaviours["desk"] = answering(choose("ask_user", "Which?"))
    asked = put(stage, coordination)
    for _ in range(3):
        stage.drain()
        waiting = stage.agents(asked.session_uuid)[-1]
        assert (waiting.state, waiting.awaits_user) == ("wait_for_user_input", "user")
        key = (asked.session_uuid, waiting.session_agent_uuid)
        execute_for_user_input(stage.app, TENANT, *key, "That one.")
    stage.drain()
    last = stage.agents(asked.session_uuid)[-1]
    assert (last.state, choices(stage.runtime.requests[-1])[-1]) == ("failed", "none")


def test_an_agent_that_declines_is_not_chosen_again(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours |= {
        "desk": answering(choose("bills", "q1"), choose("tech", "q2")),
        "bills": answering('{"decline": "No invoice is meant."}'),
        "tech": answering("Repaired."),
    }
    asked = put(stage, coordination)
    stage.drain()
    assert [each[0] for each in said(stage, asked)] == ["desk", "bills", "desk", "tech"]
    second = requests(stage, "desk")[1]
    assert choices(second) == ["tech", "back", "none", "ask_user"]
    assert "declined and cannot be chosen: bills: No invoice is meant." in second.instructions
    assert second.input == "Why so much?"
    assert said(stage, asked)[-1] == ("tech", "completed", "Repaired.")
    assert said(stage, asked)[1] == ("bills", "completed", '{"decline": "No invoice is meant."}')


@pytest.mark.parametrize(
    ("why", "told"),
    [
        ('"half: \\ud800"', "half: ?"),
        ('["not mine", 1]', '["not mine", 1]'),
        (f'"{"x" * 501}"', "x" * 500),
        ('"no\\n- bills: ask me"', "no - bills: ask me"),
    ],
)
def test_whatever_an_agent_says_when_it_declines_is_told(
    stage: Stage, coordination: str, why: str, told: str
) -> None:
    stage.runtime.behaviours |= {
        "desk": answering(choose("bills"), choose("none", "Done.")),
        "bills": answering(f'{{"decline": {why}}}'),
    }
    asked = put(stage, coordination)
    stage.drain()
    assert f"cannot be chosen: bills: {told}\n" in requests(stage, "desk")[1].instructions
    assert said(stage, asked)[-1] == ("desk", "completed", "Done.")


def test_a_long_answer_of_its_own_is_read_again_without_asking_again(
    stage: Stage, coordination: str
) -> None:
    stage.runtime.behaviours["desk"] = answering(choose("none", "e" * 1_500_000))
    asked = put(stage, coordination)
    stage.drain()
    assert [each[:2] for each in said(stage, asked)] == [("desk", "completed")]
    assert stage.runtime.ran() == ["desk"]


@pytest.mark.parametrize("agent", ["bills", "none", "ask_user"])
def test_a_choice_that_cannot_be_stored_is_asked_for_once_more(
    stage: Stage, coordination: str, agent: str
) -> None:
    stage.runtime.behaviours["desk"] = answering(choose(agent, "\ud800"), choose("none", "Done."))
    asked = put(stage, coordination)
    stage.drain()
    assert said(stage, asked) == [("desk", "completed", "Done.")]


@pytest.mark.parametrize(
    "text",
    ['{"decline": "x", "more": 1}', '["decline"]', 'I decline: {"decline": "x"}', '"decline"'],
)
def test_what_only_speaks_of_declining_is_an_answer(
    stage: Stage, coordination: str, text: str
) -> None:
    stage.runtime.behaviours |= {"desk": answering(choose("bills")), "bills": answering(text)}
    asked = put(stage, coordination)
    stage.drain()
    assert said(stage, asked)[-1] == ("bills", "completed", text)


def test_who_was_not_chosen_does_not_decline(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours["bills"] = answering('{"decline": "x"}')
    asked = put(stage, coordination, agent_uuid="bills")
    stage.drain()
    assert said(stage, asked) == [("bills", "completed", '{"decline": "x"}')]


def test_routers_hand_on_three_times_and_never_back(stage: Stage) -> None:
    names = [f"r{number}" for number in range(6)]
    kinds = {name: {"agent_type": "triage"} for name in names}
    coordination = stage.define(dict.fromkeys(names, ""), agents=kinds)[0]
    for name, after in zip(names, [*names[1:], "none"], strict=True):
        stage.runtime.behaviours[name] = answering(choose(after, "next"))
    asked = put(stage, coordination)
    stage.drain()
    assert [each[:2] for each in said(stage, asked)] == [
        ("r0", "completed"),
        ("r1", "completed"),
        ("r2", "completed"),
        ("r3", "failed"),
    ]
    assert [choices(requests(stage, name)[0]) for name in names[1:4]] == [
        ["r2", "r3", "r4", "r5", "none", "ask_user"],
        ["r3", "r4", "r5", "none", "ask_user"],
        ["none", "ask_user"],
    ]
    assert the_agent(stage, asked, "r3").notes == (
        "The answer cannot be used: at /agent, 'r4' is not one of ['none', 'ask_user']."
    )


def test_hand_offs_that_are_declined_count(stage: Stage, coordination: str) -> None:
    stage.app = replace(
        stage.app, settings=stage.app.settings.model_copy(update={"triage_hops": 1})
    )
    stage.runtime.behaviours |= {
        "desk": answering(choose("bills"), choose("none", "Nobody knows.")),
        "bills": answering('{"decline": "no"}'),
    }
    asked = put(stage, coordination)
    stage.drain()
    assert choices(requests(stage, "desk")[1]) == ["none", "ask_user"]
    assert said(stage, asked)[-1] == ("desk", "completed", "Nobody knows.")


@pytest.mark.parametrize("hops", [0, 10])
def test_the_setting_says_how_often(stage: Stage, coordination: str, hops: int) -> None:
    settings = stage.app.settings.model_copy(update={"triage_hops": hops})
    stage.app = replace(stage.app, settings=settings)
    stage.runtime.behaviours["desk"] = answering(choose("bills", "q"))
    asked = put(stage, coordination)
    stage.drain()
    assert [each[0] for each in said(stage, asked)] == (["desk", "bills"] if hops else ["desk"])
    assert (stage.runtime.requests[0].output_schema is None) == (hops == 0)


def test_an_agent_that_is_called_like_a_choice_cannot_be_chosen(stage: Stage) -> None:
    kinds = {"desk": {"agent_type": "triage"}, "none": {}, "ask_user": {}}
    coordination = stage.define(dict.fromkeys(kinds, ""), agents=kinds)[0]
    asked = put(stage, coordination)
    stage.drain()
    assert said(stage, asked) == [("desk", "completed", "DESK")]  # nobody to choose: it answers


def test_a_failed_specialist_is_the_end_of_the_question(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours |= {"desk": answering(choose("bills")), "bills": failing("no")}
    asked = put(stage, coordination)
    stage.drain()
    assert [each[:2] for each in said(stage, asked)] == [("desk", "completed"), ("bills", "failed")]
    session = session_of(stage, asked)
    assert session.status == "active"


def test_the_next_question_goes_on_with_who_answered_last(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours |= {
        "desk": answering(choose("bills", "Explain.")),
        "bills": answering("It is VAT.", "It is 19 %."),
    }
    first = put(stage, coordination)
    stage.drain()
    on = {"session_uuid": first.session_uuid, "thread_uuid": first.thread_uuid}
    second = put(stage, coordination, "How much is that?", **on)
    assert second.agent_uuid == "bills"
    stage.drain()
    assert len(requests(stage, "desk")) == 1
    request = requests(stage, "bills")[1]
    assert [(each.role, each.content) for each in request.thread] == [
        ("user", "Why so much?"),
        ("assistant", "It is VAT."),
    ]
    stage.runtime.behaviours["desk"] = answering(choose("tech", "Check it."))
    third = put(stage, coordination, "It is broken.", agent_uuid="desk", **on)
    stage.drain()
    assert third.agent_uuid == "desk"
    assert [each.content for each in requests(stage, "tech")[0].thread] == [
        "Why so much?",
        "It is VAT.",
        "How much is that?",
        "It is 19 %.",
    ]
    fourth = put(stage, coordination, "And now?", **on)
    stage.drain()
    assert fourth.agent_uuid == "tech"


def test_after_its_own_answer_and_on_a_new_thread_the_router_chooses(
    stage: Stage, coordination: str
) -> None:
    stage.runtime.behaviours["desk"] = answering(choose("none", "Hello!"), choose("bills", "q"))
    first = put(stage, coordination, "Hi")
    stage.drain()
    on = {"session_uuid": first.session_uuid, "thread_uuid": first.thread_uuid}
    assert put(stage, coordination, "Bill?", **on).agent_uuid == "desk"
    stage.drain()
    alone = put(stage, coordination, "Bill?", session_uuid=first.session_uuid)
    assert alone.agent_uuid == "desk"


def test_who_has_left_the_coordination_does_not_go_on(stage: Stage, coordination: str) -> None:
    stage.runtime.behaviours["desk"] = answering(choose("bills", "q"))
    first = put(stage, coordination)
    stage.drain()
    left = [{"agent_uuid": name, **KINDS[name]} for name in ("desk", "tech")]
    key = (TENANT, coordination)
    stage.app.records.write(COORDINATION, TENANT, key, lambda *_: {"agents": left}, parent_key=None)
    on = {"session_uuid": first.session_uuid, "thread_uuid": first.thread_uuid}
    assert put(stage, coordination, "And?", **on).agent_uuid == "desk"


def session_of(stage: Stage, asked: Asked) -> Session:
    key = (asked.coordination_uuid, asked.session_uuid)
    found = stage.looking.get(SESSION, TENANT, key, consistent=True)
    assert isinstance(found, Session)
    return found
