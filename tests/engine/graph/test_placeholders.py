"""Placeholders in a session: where they are filled, that it happens once, and what a strict task
refuses.
"""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.definition import snapshot
from ai_coordination_engine.engine.planning.start import Start, execute_procedure
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.store.models import Session
from tests.kit.controls import fork_from, rerun
from tests.kit.fakes import Behaviour, failing
from tests.kit.promises import check_promises
from tests.kit.stage import TENANT, Stage, stage_of


def asks(**queries: str) -> list[dict[str, str]]:
    return [{"agent_uuid": uuid, "subtask_query": query} for uuid, query in queries.items()]


def says(text: str) -> Behaviour:
    return lambda request: text


def inputs_of(stage: Stage, agent_uuid: str) -> list[str]:
    return [each.input for each in stage.runtime.requests if each.agent_uuid == agent_uuid]


def test_an_output_goes_where_a_text_names_its_agent_and_is_not_repeated(app: App) -> None:
    stage = stage_of(
        app, behaviours={"a": says('{"title": "Sun {q}", "price": 1.10}'), "b": says("{{rain}}")}
    )
    text = "{a.title} at {a.price}, {Bob}, {q} {{q}}"
    names = stage.define(
        {"a": "", "b": "", "c": "", "d": "abc"},
        subtasks=asks(d=text),
        agents={"b": {"agent_name": "Bob"}},
        query='{"q": "{a}"}',
    )
    session = stage.start(names)
    stage.drain()
    check_promises(stage, session)
    expected = "Output of c:\nC\n\nSun {q} at 1.10, {{rain}}, {a} {q}"
    assert inputs_of(stage, "d") == [expected]
    assert stage.runtime.requests[-1].query == expected.partition("\n\n")[2]
    subtasks = (snapshot(stage.agents(session.session_uuid)) or {})["subtaskQueries"]
    assert subtasks == [
        {"agentUuid": "d", "subtaskQuery": "{a.title} at {a.price}, {Bob}, {a} {q}"}
    ]


def test_retries_reruns_and_forks_are_asked_the_same(app: App) -> None:
    stage = stage_of(
        app, behaviours={"a": says('{"t": "{q}"}'), "b": failing("busy", 1, retryable=True)}
    )
    names = stage.define(
        {"a": "", "b": "a"}, subtasks=asks(b="{q}: {a.t} {{x}}"), query='{"q": "{a}"}'
    )
    session = stage.start(names)
    stage.drain()
    rerun(stage, session, "b")
    stage.drain()
    fork_from(stage, session, "b")
    stage.drain()
    assert inputs_of(stage, "b") == ["{a}: {q} {x}"] * 5  # the first attempt of each session fails


def test_a_fork_with_another_query_fills_the_text_anew(app: App) -> None:
    stage = stage_of(app, behaviours={"a": says('{"t": 5}')})
    names = stage.define({"a": "", "b": "a"}, subtasks=asks(b="{q}: {a.t}"), query='{"q": 1}')
    session = stage.start(names)
    stage.drain()
    fork_from(stage, session, "b", task_query='{"q": "{a.t}"}')
    stage.drain()
    fork_from(stage, session, "b", subtask_query="{a.t} only")
    stage.drain()
    assert inputs_of(stage, "b") == ["1: 5", "{a.t}: 5", "5 only"]


def of_a_map(app: App, text: str, **given: Any) -> tuple[Stage, Session]:
    output = given.pop("output", '[{"name": "Ada", "q": "own"}, {"name": "Bob"}]')
    stage = stage_of(app, behaviours={"rows": says(output)})
    names = stage.define(
        {"rows": "", "b": "", "m": ("rows", "b")},
        subtasks=asks(m=text),
        actions={"m": {"map": {"over": "rows", **given.pop("rule", {})}}},
        query='{"q": "{name}", "shop": "Ann"}',
        placeholders=given.pop("placeholders", None),
    )
    session = stage.start(names)
    stage.drain()
    return stage, session


def test_an_elements_keys_win_over_the_query_and_nothing_is_filled_twice(app: App) -> None:
    stage, session = of_a_map(app, "{index} {name} {q} {shop} {b} {no}")
    check_promises(stage, session)
    assert sorted(inputs_of(stage, "m")) == ["0 Ada own Ann B {no}", "1 Bob {name} Ann B {no}"]


def test_an_element_may_name_what_its_map_is_over(app: App) -> None:
    output = '{"title": "T", "rows": [1.10, 2]}'
    stage, session = of_a_map(app, "{item} of {rows.title}", output=output, rule={"items": "rows"})
    check_promises(stage, session)
    assert sorted(inputs_of(stage, "m")) == [
        "Output of b:\nB\n\n1.10 of T",
        "Output of b:\nB\n\n2 of T",
    ]


def test_a_strict_map_fails_when_an_element_leaves_a_placeholder_without_a_value(app: App) -> None:
    stage, session = of_a_map(app, "{name} {q} {size}", placeholders="strict")
    check_promises(stage, session, status="failed")
    note = (
        "Element 0 of the map cannot be asked: {size} has no value, and the placeholders are"
        " strict."
    )
    assert stage.agent(session.session_uuid, "m").notes == note


def test_what_an_output_does_not_have_is_noted_and_fails_a_strict_agent(app: App) -> None:
    note = "These placeholders found nothing in the outputs of the predecessors: {a.title}."
    for strict in (False, True):
        stage = stage_of(app, behaviours={"a": says('{"name": 1}')})
        placeholders = "strict" if strict else None
        names = stage.define(
            {"a": "", "b": "a"}, subtasks=asks(b="<{a.title}>"), placeholders=placeholders
        )
        session = stage.start(names)
        stage.drain()
        check_promises(stage, session, status="failed" if strict else "completed")
        assert stage.agent(session.session_uuid, "b").notes == note
        assert inputs_of(stage, "b") == ([] if strict else ["<>"])


@pytest.mark.parametrize("query", ["Ada", '{"topic": ', '["topic"]', '"topic"', "{}"])
def test_a_query_without_values_is_told_to_be_none(app: App, query: str) -> None:
    stage, told = stage_of(app), list[str]()
    names = stage.define({"a": ""}, subtasks=asks(a="{topic}"), query=query)
    execute_procedure(stage.app, TENANT, Start(*names), told.append)
    assert told == [
        "subtaskQueries: {topic} of agent a has no value: the query is not a JSON object with"
        " values, and no predecessor is called so."
    ]


def test_a_placeholder_without_a_value_is_told_at_the_start(app: App) -> None:
    stage = stage_of(app)
    names = stage.define(
        {"a": "", "b": "a", "c": ""},
        subtasks=asks(b="{größe} {c} {a} {a.x} {first-name}", c="{a}"),
        query='{"a": 1}',
    )
    told: list[str] = []
    execute_procedure(stage.app, TENANT, Start(*names), told.append)
    why = "the query has no such value, and no predecessor is called so"
    assert told == [
        f"subtaskQueries: {{größe}} of agent b has no value: {why}.",
        "subtaskQueries: {c} of agent b has no value: c is an agent, but no predecessor of it.",
        (
            "subtaskQueries: {a.x} of agent b has no value: its path finds nothing in the a of the"
            " query."
        ),
        f"subtaskQueries: {{first-name}} of agent b has no value: {why}.",
        (
            "subtaskQueries: {a} of agent b is a key of the query and a predecessor; it takes the"
            " value of the query."
        ),
    ]


def test_a_strict_task_is_not_started_and_nothing_is_written(app: App) -> None:
    stage = stage_of(app, inline_limit=256)
    subtasks = asks(a="{x} {y}" + "z" * 5000, b="{a}")
    names = stage.define({"a": "", "b": "a"}, subtasks=subtasks, placeholders="strict")
    stage.requests.clear()
    words = (
        r"^subtaskQueries: placeholders are strict, and these have no value: \{x\} of agent a,"
        r" \{y\} of agent a\.$"
    )
    with pytest.raises(BadUserInput, match=words):
        stage.start(names)
    assert stage.requests == {"GetItem": 2}
    assert [key for key in stage.blobs.puts if "sessions" in key] == []
    session = stage.start(names, task_query='{"x": 1, "y": 2}')
    stage.drain()
    check_promises(stage, session)
