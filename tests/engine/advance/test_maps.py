"""Maps: one session agent per element of a list, and a join over them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.graph import MAX_AGENTS
from ai_coordination_engine.engine.advance import map_queries, maps
from ai_coordination_engine.engine.advance.maps import MAX_EXPANSIONS, gather
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph.keys import MAX_ELEMENTS, element_ordinal
from ai_coordination_engine.engine.step import run_step
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.records.blob_places import blob_prefix
from ai_coordination_engine.store.records.entities import SESSION, SESSION_AGENT
from ai_coordination_engine.store.transitions import counter_shards
from tests.kit.controls import pause, put_right, resume, retry, sweep_after
from tests.kit.crashes import Crash
from tests.kit.fakes import failing
from tests.kit.promises import check_promises, check_redelivery_changes_nothing
from tests.kit.stage import TENANT, Stage, stage_of

GRAPH = {"a": "", "m": "a", "z": "m"}


def mapped(
    app: App, output: str, *, query: str = "", behaviours: dict[str, Any] | None = None, **rule: Any
) -> tuple[Stage, Session]:
    stage = stage_of(app, behaviours={"a": lambda request: output, **(behaviours or {})})
    subtasks = [{"agent_uuid": "m", "subtask_query": query}] if query else []
    names = stage.define(GRAPH, subtasks=subtasks, actions={"m": {"map": {"over": "a", **rule}}})
    session = stage.start(names)
    stage.drain()
    return stage, session


def inputs(stage: Stage) -> list[str]:
    return sorted(each.input for each in stage.runtime.requests if each.agent_uuid == "m")


def test_every_element_is_an_agent_and_the_map_is_the_list_of_their_outputs(app: App) -> None:
    stage, session = mapped(
        app,
        '["x", {"name": "y"}, 3]',
        query="Look at {item}",
        behaviours={
            "m": lambda request: (
                json.dumps({"saw": request.query}) if "x" in request.query else request.query
            )
        },
    )
    check_promises(stage, session)
    check_redelivery_changes_nothing(stage, session)
    assert inputs(stage) == ["Look at 3", "Look at x", 'Look at {"name": "y"}']
    planned = [each for each in stage.agents(session.session_uuid) if each.map_ordinal is None]
    output = json.loads(planned[1].agent_output)
    assert output == [{"saw": "Look at x"}, 'Look at {"name": "y"}', "Look at 3"]
    assert [each.agent_uuid for each in stage.agents(session.session_uuid)] == [
        "a",
        "m",
        "z",
        "m",
        "m",
        "m",
    ]
    assert len(stage.runs(session.session_uuid)) == 6


@pytest.mark.parametrize(
    ("output", "listed"),
    [
        ('{"n": 1.10, "s": "\\ud800"}', '[{"n": 1.10, "s": "\\ud800"}]'),
        ("[1,\n2]", "[[1,\n2]]"),
        (' \ufeff{"a": 1}\n', '[{"a": 1}]'),
        ("[broken", '["[broken"]'),
        ("[draft] hello", '["[draft] hello"]'),
        ("{name}", '["{name}"]'),
        ("2", "[2]"),
        ("\n 19.90\t", "[19.90]"),
        ("1e400", "[1e400]"),
        ("-0", "[-0]"),
        ("12345678901234567890", "[12345678901234567890]"),
        ("true", "[true]"),
        ("null", "[null]"),
        ("True", '["True"]'),
        ("007", '["007"]'),
        ("NaN", '["NaN"]'),
        ("-Infinity", '["-Infinity"]'),
        ('"quoted"', '["quoted"]'),
        ('a "quoted" word', '["a \\"quoted\\" word"]'),
        ('{"a": 1, "a": 2}', '[{"a": 1, "a": 2}]'),
        ("```json\n[1]\n```", '["```json\\n[1]\\n```"]'),
        ("[" * 10_000 + "]" * 10_000, '["' + "[" * 10_000 + "]" * 10_000 + '"]'),
        ("", '[""]'),
        (" x ", '[" x "]'),
    ],
)
def test_what_an_element_answers_as_json_stands_in_the_list_as_it_is(
    app: App, output: str, listed: str
) -> None:
    stage, session = mapped(app, "[0]", behaviours={"m": lambda request: output})
    check_promises(stage, session)
    assert stage.agents(session.session_uuid)[1].agent_output == listed


@pytest.mark.parametrize(
    ("output", "asked"),
    [
        (" [19.90, 1e3, 12345678901234567890]", ["12345678901234567890", "19.90", "1e3"]),
        ('[{"price": 1.10}, [2.0], -0, 1e400]', ["-0", "1e400", "[2.0]", '{"price": 1.10}']),
        ('["1.10", "[1]"]', ["1.10", "[1]"]),
        ("<think>\nTwo [2].\n</think>\n\n```JSON\r\n[2, 4]\r\n```", ["2", "4"]),
        ("The list is [2, 4].", ["2", "4"]),
    ],
)
def test_elements_keep_their_digits(app: App, output: str, asked: list[str]) -> None:
    stage, session = mapped(
        app, output, query="{item}", behaviours={"m": lambda request: request.input}
    )
    check_promises(stage, session)
    assert inputs(stage) == asked
    assert stage.agent(session.session_uuid, "a").agent_output == output


def test_counts_of_elements_can_be_summed(app: App) -> None:
    stage = stage_of(
        app, behaviours={"a": lambda request: "[2, 4]", "m": lambda request: f" {request.query}\n"}
    )
    actions = {"m": {"map": {"over": "a"}}, "z": {"conditions": {"m": "sum(@) > `5`"}}}
    session = stage.start(
        stage.define(
            GRAPH, subtasks=[{"agent_uuid": "m", "subtask_query": "{item}"}], actions=actions
        )
    )
    stage.drain()
    check_promises(stage, session)
    assert stage.agents(session.session_uuid)[1].agent_output == "[2, 4]"
    assert stage.agent(session.session_uuid, "z").state == "completed"


def test_what_the_elements_are_asked_together_is_bounded_before_any_is_written(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_queries, "MAX_ASKED", 60)
    for count, status in ((10, "completed"), (11, "failed")):
        stage, session = mapped(
            app, json.dumps(list(range(9)) + [0] * (count - 9)), query="Item {item}"
        )
        check_promises(stage, session, status=status)
    assert len(stage.agents(session.session_uuid)) == 3
    note = "The map asks its elements more than 60 characters together; it takes no more."
    assert stage.agent(session.session_uuid, "m").notes == note


def test_an_expression_that_is_too_much_fails_the_map_by_its_name(app: App) -> None:
    stage, session = mapped(
        app, json.dumps([0] * 400_000), items="[?@ > `1` || @ > `2` || @ > `3`]"
    )
    check_promises(stage, session, status="failed")
    notes = stage.agent(session.session_uuid, "m").notes
    assert notes.startswith(
        "The map does not apply: [?@ > `1` || @ > `2` || @ > `3`] takes too long"
    )


def test_an_elements_own_keys_fill_placeholders_and_a_text_without_any_is_followed_by_it(
    app: App,
) -> None:
    stage, _ = mapped(app, '[{"name": "Ada", "n": 1}]', query="{index}: greet {name}")
    assert inputs(stage) == ["0: greet Ada"]
    stage, _ = mapped(app, '["x"]', query="Greet")
    assert inputs(stage) == ["Greet\n\nItem:\nx"]
    stage, _ = mapped(app, '["x"]')
    assert inputs(stage) == ["Item:\nx"]


def test_the_list_may_be_inside_the_output(app: App) -> None:
    stage, session = mapped(app, '{"rows": [{"id": 1}, {"id": 2}]}', items="rows[].id")
    check_promises(stage, session)
    assert inputs(stage) == ["Item:\n1", "Item:\n2"]


def test_a_map_over_nothing_completes_with_an_empty_list(app: App) -> None:
    stage, session = mapped(app, "[]")
    check_promises(stage, session)
    assert stage.agent(session.session_uuid, "m").agent_output == "[]"


@pytest.mark.parametrize(
    ("output", "note"),
    [
        (
            "no json",
            'The output of a is not valid JSON, but the map needs a list; it begins: "no json".',
        ),
        ('{"rows": []}', "The output of a is not a list, but the map needs one."),
        (json.dumps([0] * 10_001), "The map is over 10001 elements; it takes at most 10000."),
    ],
)
def test_a_map_over_something_else_fails_and_starts_nothing(
    app: App, output: str, note: str
) -> None:
    stage, session = mapped(app, output)
    check_promises(stage, session, status="failed")
    assert stage.agent(session.session_uuid, "m").notes == note
    assert [
        run.async_task.get("error_class")
        for run in stage.runs(session.session_uuid)
        if run.agent_uuid == "m"
    ] == ["invalid_output"]
    assert len(stage.agents(session.session_uuid)) == 3


@pytest.mark.parametrize(
    ("output", "query", "note"),
    [
        (
            json.dumps(["x", "y" * 999_999]),
            "{index}{item}.",
            "Its text has 1000001 characters; what one element is asked",
        ),
        (
            json.dumps(["x", "y" * 100_000]),
            "{item}" * 500,
            "A text has room for 1000000 characters where its",
        ),
        ('["x", "\\ud800"]', "", "Its text holds an invalid character."),
    ],
)
def test_an_element_that_cannot_be_asked_fails_the_map_before_any_starts(
    app: App, output: str, query: str, note: str
) -> None:
    stage, session = mapped(app, output, query=query)
    check_promises(stage, session, status="failed")
    notes = stage.agent(session.session_uuid, "m").notes
    assert notes.startswith(f"Element 1 of the map cannot be asked: {note}")
    assert len(stage.agents(session.session_uuid)) == 3


@pytest.mark.parametrize(("last", "status"), [(3_999_996, "completed"), (3_999_997, "failed")])
def test_the_output_of_a_map_is_bounded(app: App, last: int, status: str) -> None:
    def answer(request: AgentRequest) -> str:
        return "x" * (last if request.input == "Item:\n1" else 3_999_996)

    stage, session = mapped(app, "[0, 1]", behaviours={"m": answer})
    check_promises(stage, session, status=status)
    found = stage.agents(session.session_uuid)[1]
    if status == "completed":
        # as a JSON text: with its own quotes, and four escaped ones
        assert len(stage.blobs.kept[found.stored("agent_output").key]) == 8_000_000 + 2 + 4
    else:
        assert (
            found.notes
            == "The outputs of the map's elements may have 8000000 characters together; they have"
            " more."
        )
        classes = [run.async_task.get("error_class") for run in stage.runs(session.session_uuid)]
        assert sorted(classes, key=str) == [None, None, None, "invalid_output"]


def test_what_is_too_long_for_a_map_is_not_read_to_its_end(app: App) -> None:
    stage, session = mapped(
        app, json.dumps([0] * 101), behaviours={"m": lambda request: "x" * 100_000}
    )
    agent, elements = stage.agents(session.session_uuid)[1], stage.agents(session.session_uuid)[3:]
    assert agent.state == "failed"
    for each in elements[80:]:
        del stage.blobs.kept[each.stored("agent_output").key]
    stage.requests.clear()
    with pytest.raises(AgentFailure, match="may have 8000000 characters together"):
        gather(stage.app, agent, Budget())
    assert stage.requests == {"BatchGetItem": 1}


def test_a_large_value_that_all_elements_share_is_one_blob(app: App) -> None:
    stage = stage_of(
        app,
        behaviours={"a": lambda request: "[1, 2, 3]", "m": failing("no"), "spare": lambda _: "ok"},
    )
    actions = {"m": {"map": {"over": "a"}, "fallback": "spare"}}
    session = stage.start(
        stage.define(GRAPH, actions=actions, agents={"spare": {"agent_description": "d" * 450_000}})
    )
    stage.drain()
    check_redelivery_changes_nothing(stage, session)
    assert stage.session(session).status == "completed"
    elements = [each for each in stage.agents(session.session_uuid) if each.map_ordinal is not None]
    assert [each.agent_output for each in elements] == ["ok"] * 3
    assert max(len(str(each.serialize())) for each in elements) < 3_000
    (key,) = {each.stored("rules").key for each in elements}
    of_session = session.key
    assert key.startswith(blob_prefix(SESSION, TENANT, of_session, session.nonce))


def test_a_map_is_expanded_as_often_as_ordinals_fit(app: App) -> None:
    assert element_ordinal(MAX_AGENTS - 1, MAX_EXPANSIONS, MAX_ELEMENTS - 1) < 2**32
    for expanded, status in ((MAX_EXPANSIONS - 1, "completed"), (MAX_EXPANSIONS, "failed")):
        stage = stage_of(app, behaviours={"a": lambda request: '["x"]'})
        session = stage.start(stage.define(GRAPH, actions={"m": {"map": {"over": "a"}}}))
        key = (session.session_uuid, stage.agent(session.session_uuid, "m").session_agent_uuid)
        table = stage.app.records.table(SESSION_AGENT)
        table.update(
            session.partition_key,
            key,
            [SessionAgent.generation.set(expanded)],
            SessionAgent.session_uuid.exists(),
        )
        stage.drain()
        check_promises(stage, session, status=status)
    assert (
        stage.agent(session.session_uuid, "m").notes
        == "The map ran 40 times in this session, which is the most; start a new one."
    )


def test_a_failed_element_fails_the_session_unless_the_join_tolerates_it(app: App) -> None:
    def second_fails(request: Any) -> str:
        return str(failing("no")(request)) if "y" in request.input else "ok"

    stage, session = mapped(app, '["x", "y", "z"]', behaviours={"m": second_fails})
    check_promises(stage, session, status="failed")
    stage, session = mapped(
        app, '["x", "y", "z"]', behaviours={"m": second_fails}, join="all_terminal"
    )
    assert stage.session(session).status == "completed"
    planned = [each for each in stage.agents(session.session_uuid) if each.map_ordinal is None]
    assert json.loads(planned[1].agent_output) == ["ok", None, "ok"]


def test_elements_hear_the_other_predecessors_of_the_map(app: App) -> None:
    stage = stage_of(app, behaviours={"a": lambda request: '["x"]', "b": lambda request: "context"})
    session = stage.start(
        stage.define({"a": "", "b": "", "m": "ab"}, actions={"m": {"map": {"over": "a"}}})
    )
    stage.drain()
    check_promises(stage, session)
    assert inputs(stage) == ["Output of b:\ncontext\n\nItem:\nx"]


def crash(*_: Any) -> None:
    raise Crash


def test_a_map_whose_list_was_deleted_while_it_was_expanded_fails(app: App) -> None:
    stage = stage_of(app, behaviours={"a": lambda request: '["x"]'})
    graph = {"r": "", "a": "r", "m": "a", "z": "m"}  # the first agent confirms the start
    session = stage.start(stage.define(graph, actions={"m": {"map": {"over": "a"}}}))
    with pytest.MonkeyPatch.context() as patched, pytest.raises(Crash):
        patched.setattr(maps, "_start", crash)
        run_step(stage.app, stage.queue.sent[0])
    _, lister, waiting, _ = stage.agents(session.session_uuid)
    assert (waiting.state, waiting.mapped, waiting.elements_sent) == ("pending", 1, None)
    stage.app.records.table(SESSION_AGENT).delete(
        lister.partition_key,
        (lister.session_uuid, lister.session_agent_uuid),
        SessionAgent.state == "completed",
    )
    put_right(stage, session)
    stage.drain()
    assert stage.session(session).status == "failed"
    notes = stage.agent(session.session_uuid, "m").notes
    assert notes == "The agent that the map is over gave no output."


def test_a_wide_map_is_written_in_pages_and_counted_in_counter_shards(app: App) -> None:
    stage = stage_of(app, behaviours={"a": lambda request: json.dumps(list(range(350)))}, threads=8)
    session = stage.start(stage.define(GRAPH, actions={"m": {"map": {"over": "a"}}}))
    stage.drain()
    check_promises(stage, session)
    planned = [each for each in stage.agents(session.session_uuid) if each.map_ordinal is None]
    assert (planned[1].mapped, planned[1].counter_shards, planned[1].elements_sent) == (
        350,
        4,
        True,
    )
    assert len(json.loads(planned[1].agent_output)) == 350
    assert len(stage.runs(session.session_uuid)) == 353


# More elements than are counted by name: their counter shards are named like no agent before the
# map


@pytest.fixture
def small_counter_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five are counted like many."""
    monkeypatch.setattr(counter_shards, "COUNTER_SHARD", 4)


def expanded(stage: Stage, graph: Any, over: str = "a") -> Session:
    """A session whose map `m` has just been expanded; its elements have not begun."""
    stage.runtime.behaviours[over] = lambda request: json.dumps(list(range(5)))
    session = stage.start(stage.define(graph, actions={"m": {"map": {"over": over}}}))
    while not the_map(stage, session).mapped:
        delivery = stage.queue.receive()
        assert delivery is not None
        run_step(stage.app, delivery.wake)
    return session


def the_map(stage: Stage, session: Session) -> SessionAgent:
    return next(
        each
        for each in stage.agents(session.session_uuid)
        if (each.agent_uuid, each.map_ordinal) == ("m", None)
    )


@pytest.mark.usefixtures("small_counter_shards")
@pytest.mark.parametrize(
    "again",
    [
        lambda stage, session: run_step(stage.app, stage.queue.sent[0]),
        put_right,
        lambda stage, session: (pause(stage, session), resume(stage, session)),
        lambda stage, session: sweep_after(stage, 901),
    ],
    ids=["a message again", "reconcile", "pause and resume", "sweep"],
)
def test_what_is_released_again_before_a_wide_map_changes_nothing(
    app: App, again: Callable[..., Any]
) -> None:
    stage = stage_of(app)
    session = expanded(stage, GRAPH)
    again(stage, session)
    found: Any = the_map(stage, session)
    assert (found.in_degree, len(found.unfinished)) == (5, 2)
    stage.drain()
    check_promises(stage, session)


@pytest.mark.usefixtures("small_counter_shards")
def test_a_wide_map_waits_for_its_elements_also_behind_many_predecessors(app: App) -> None:
    stage = stage_of(app)
    names = [f"p{number}" for number in range(5)]
    session = expanded(stage, {**dict.fromkeys(names, ""), "m": names, "z": "m"}, "p0")
    put_right(stage, session)
    found: Any = the_map(stage, session)
    assert (found.in_degree, len(found.unfinished)) == (5, 2)
    stage.drain()
    check_promises(stage, session)
    assert "null" not in the_map(stage, session).agent_output


@pytest.mark.usefixtures("small_counter_shards")
def test_one_element_of_a_wide_map_is_retried(app: App) -> None:
    stage = stage_of(app)
    fails = [True]

    def element(request: AgentRequest) -> str:
        if request.input == "Item:\n3" and fails and fails.pop():
            raise AgentFailure("no")
        return "M"

    stage.runtime.behaviours["m"] = element
    session = expanded(stage, GRAPH)
    stage.drain()
    assert (stage.session(session).status, stage.session(session).logs) == (
        "failed",
        "Agent m #3 failed: no",
    )
    retry(stage, session)
    stage.drain()
    check_promises(stage, session)
