"""Maps: run an agent once for each element of a predecessor's list.

The session agent of the map is claimed twice. First it is expanded: one session agent is written
and enqueued for each element, page by page, while the map waits as `pending`. When all elements
have ended, it is claimed again, and its output is the list of their outputs. `engine.step` is the
caller.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from ai_coordination_engine.domain import documents, json_text
from ai_coordination_engine.domain.budget import Budget, Spent
from ai_coordination_engine.domain.shapes import AgentAction
from ai_coordination_engine.domain.text_parts import output_name
from ai_coordination_engine.engine.advance import ending
from ai_coordination_engine.engine.advance.ending import end_those
from ai_coordination_engine.engine.advance.map_queries import (
    ElementQueries,
    is_over_list_of,
    queries_of_elements,
)
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.graph import inputs, rules
from ai_coordination_engine.engine.graph.edge_outcomes import Edge
from ai_coordination_engine.engine.graph.keys import (
    MAX_EXPANSIONS,
    agent_key,
    counter_shard_ordinal,
    edge_id_of,
    element_ordinal,
    family,
)
from ai_coordination_engine.engine.graph.sharing import Sharing
from ai_coordination_engine.runtime_ports import AgentFailure, AgentResult
from ai_coordination_engine.store.models import CounterShard, SessionAgent
from ai_coordination_engine.store.payload import inline
from ai_coordination_engine.store.record import M
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions import counter_shards
from ai_coordination_engine.store.transitions.outcome import applied

PAGE = 100  # elements that are written and enqueued, or read, at a time


class NotStarted(Exception):
    """The map `agent` waits for its elements, but not all of them can be written.

    `message`: the reason.
    """

    def __init__(self, agent: SessionAgent, message: str) -> None:
        super().__init__(message)
        self.agent, self.message = agent, message


def is_map(agent: SessionAgent) -> bool:
    """Whether the agent runs once for each element of a list."""
    return "map" in rules.of(agent)


def expand(app: App, agent: SessionAgent, budget: Budget) -> AgentResult | None:
    """Expand a claimed map: write and enqueue its elements, and let the map wait for them.

    Returns None, or the result at once for an empty list. Does nothing if the lease was lost.
    Raises `AgentFailure` if the predecessor's output is not a list, or has too many or too long
    elements, or the map was expanded too often. Raises `NotStarted` if the map waits already and
    must fail.
    """
    # before the map waits: invalid elements fail it here
    asked = queries_of_elements(app, agent, budget)
    if not asked:
        return AgentResult("[]")
    generation = (agent.generation or 0) + 1
    if generation > MAX_EXPANSIONS:
        raise AgentFailure(
            f"The map ran {MAX_EXPANSIONS} times in this session, which is the most; start a new"
            " one."
        )
    ordinals = [element_ordinal(agent.ordinal, generation, index) for index in range(len(asked))]
    count = counter_shards.how_many(len(asked))
    named = {counter_shard_ordinal(each, count) for each in ordinals} if count else ordinals
    unfinished = [edge_id_of(each, agent.epoch) for each in named]
    expanded = applied(app.agents.expand(agent, len(asked), unfinished, count))
    if expanded is None:
        return None
    try:
        _start(app, expanded, asked)
    except AgentFailure as failure:
        raise NotStarted(expanded, failure.message) from failure
    return None


def continue_expansion(app: App, agent: SessionAgent) -> None:
    """Finish an expansion whose worker may have died. May be repeated."""
    _start(app, agent, queries_of_elements(app, agent, Budget()))


def gather(app: App, agent: SessionAgent, budget: Budget) -> AgentResult:
    """The outputs of the elements as one JSON list, with null for elements that did not complete.

    One BatchGetItem per 100 elements. Raises `AgentFailure` as soon as the outputs are too long in
    total, or the budget is used up.
    """
    outputs: list[str] = []
    size = 0
    for start in range(0, agent.mapped, PAGE):
        indexes = range(start, min(start + PAGE, agent.mapped))
        ordinals = [element_ordinal(agent.ordinal, agent.generation, index) for index in indexes]
        found = {each.ordinal: each for each in inputs.read(app, agent, ordinals)}
        for ordinal in ordinals:
            outputs.append(_output(found.get(ordinal), budget))
            size += len(outputs[-1]) + 2  # two for the brackets, or for the comma before it
            if size > inputs.MAX_TEXT:
                message = (
                    f"The outputs of the map's elements may have {inputs.MAX_TEXT} characters"
                    " together"
                )
                raise AgentFailure(f"{message}; they have more.", error_class="invalid_output")
    return AgentResult(f"[{', '.join(outputs)}]")


def _output(element: SessionAgent | None, budget: Budget) -> str:
    """The output of an element as JSON text. Valid JSON is kept unchanged; other text becomes a
    JSON string.
    """
    if element is None or element.state != "completed":
        return "null"
    text: str = element.agent_output or ""
    try:
        budget.spend(documents.price(text))
        json_text.loads(text)
        return json_text.bare(text)
    except json_text.NotJSON:
        return json_text.dumps(text)
    except Spent as error:
        message = "The outputs of the map's elements are more JSON than one step may read."
        raise AgentFailure(message, error_class="invalid_output") from error


def _start(app: App, agent: SessionAgent, asked: Sequence[Any]) -> None:
    """Write the counter shards, then write and enqueue the elements, page by page.

    Stops as soon as the map no longer waits for these elements. If the session has ended already,
    the map is ended here: the process that ended the session may have read it during its attempt,
    and left it alone. A process that ends the session later sees that the map waits.
    """
    session = ending.over(app, agent)
    if session is not None:
        end_those(app, session, [agent])
        return
    ordinals = [
        element_ordinal(agent.ordinal, agent.generation, index) for index in range(len(asked))
    ]
    _put_once(app, app.counter_shards.put_once, _counter_shards(agent, ordinals))
    template = _template(app, agent, ElementQueries.of(agent).named)
    for start in range(0, len(asked), PAGE):
        page = [
            _element(app, agent, template, ordinals[index], asked[index])
            for index in range(start, min(start + PAGE, len(asked)))
        ]
        _put_once(app, app.agents.put_once, page)
        if not _still_waits(app, agent, page):
            return
        app.queue.send([wake(each) for each in page])
    app.agents.elements_sent(agent)


def _still_waits(app: App, agent: SessionAgent, page: Sequence[SessionAgent]) -> bool:
    """Whether the map still waits for these elements.

    If not, they are deleted. If the map is paused, they are paused too.
    """
    now = app.records.get_stored(SESSION_AGENT, agent.partition_key, agent.key)
    if now is None or (now.state, now.generation) != ("pending", agent.generation):
        app.records.parallel.run([partial(_take_back, app, each) for each in page])
        return False
    if now.paused is not None:
        app.records.parallel.run(
            [partial(app.agents.pause_element, each, now.paused) for each in page]
        )
    return True


def _take_back(app: App, element: SessionAgent) -> None:
    if applied(app.agents.take_back(element)) is not None:
        guards.remove_blobs(app.records, SESSION_AGENT, element)


def _counter_shards(agent: SessionAgent, ordinals: Sequence[int]) -> list[CounterShard]:
    if agent.counter_shards is None:
        return []
    key = agent.key
    made = [
        counter_shards.counter_shard(
            counter_shards.join_key(key, family(ordinals[0]), number),
            agent,
            {edge_id_of(each, agent.epoch) for each in found},
            counter_shard_ordinal(min(found), agent.counter_shards),
        )
        for number, found in counter_shards.spread(ordinals, agent.counter_shards).items()
    ]
    for each in made:
        each.epoch = agent.epoch
    return made


def _template(app: App, agent: SessionAgent, named: set[str]) -> dict[str, Any]:
    """The attributes that all elements of the map share. Large values are one blob each, under the
    session's prefix.

    `Session.has_blobs` is set already in that case: each value is made from a value of the map that
    is at least as large.
    """
    share = Sharing(app, agent, beside=map(agent.stored, ("predecessors", "rules")))
    given = rules.of(agent)
    kept = {
        name: value
        for name, value in given.items()
        if name in ("policy", "fallback", "on_failure", "strict", "budgets")
    }
    now = app.clock.now()
    before: Sequence[int] = agent.predecessors or ()
    action = AgentAction.model_validate(agent.agent_action or {})
    edge = Edge(agent.ordinal, agent.mapped, given["map"].get("join", "all"))
    template = {
        "partition_key": agent.partition_key,
        "coordination_uuid": agent.coordination_uuid,
        "agent_uuid": agent.agent_uuid,
        "agent_action": AgentAction(primary_path=action.primary_path).complete(),
        "definition": agent.stored("definition"),
        "task_query": agent.stored("task_query"),
        "input_files": agent.stored("input_files"),
        "predecessors": share(_inputs_of_elements(app, agent, before, named) or None),
        "successors": [edge.stored()],
        "rules": share(kept or None),
        "trace": agent.trace,
        "lease_seconds": agent.lease_seconds,
        "needs": agent.needs,
        "state": "initial",
        "epoch": agent.epoch,
        "in_degree": 0,
        "map_ordinal": agent.ordinal,
        "created_at": now,
        "updated_at": now,
        "updated_by": agent.updated_by,
    }
    share.write()
    payloads = SessionAgent.payload_names()
    return {name: inline(each) if name in payloads else each for name, each in template.items()}


def _inputs_of_elements(
    app: App, agent: SessionAgent, before: Sequence[int], named: set[str]
) -> list[int]:
    """The ordinals of the predecessors whose outputs each element gets.

    All but the one with the list; that one too, if the query uses its output.
    """
    rule = rules.of(agent)["map"]
    if not named.isdisjoint((rule["over"], output_name(rule.get("ordinal", -1)))):
        return list(before)
    if len(before) == 1:
        return []
    return [
        each.ordinal for each in inputs.read(app, agent, before) if not is_over_list_of(rule, each)
    ]


def _element(
    app: App, agent: SessionAgent, template: Mapping[str, Any], ordinal: int, query: Any
) -> SessionAgent:
    key = agent_key(agent, ordinal)
    stored_values = app.records.store(SESSION_AGENT, agent.partition_key, key, {"query": query})
    values = {**template, **stored_values, "ordinal": ordinal, "thread_uuid": key[1]}
    return SessionAgent(session_uuid=key[0], session_agent_uuid=key[1], **values)


def _put_once(app: App, put: Callable[[M], bool], records: Sequence[M]) -> None:
    """Write those records that do not exist yet: an earlier worker may have written some.

    Raises `AgentFailure` if another record has one of their keys.
    """
    if records and not all(app.records.parallel.run([partial(put, each) for each in records])):
        message = "Another record stands under the uuid of an element of the map"
        raise AgentFailure(f"{message}; run it in a new session.")
