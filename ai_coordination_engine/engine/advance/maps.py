"""Maps: run an agent once for each element of a predecessor's list.

The session agent of the map is claimed twice. First it is expanded: one session agent is written
and enqueued for each element, page by page, while the map waits as `pending`. When all elements
have ended, it is claimed again, and its output is the list of their outputs. `engine.step` is the
caller.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ai_coordination_engine.domain import documents, json_text
from ai_coordination_engine.domain.budget import Budget, Spent
from ai_coordination_engine.domain.conditions import select
from ai_coordination_engine.domain.placeholders import (
    fill,
    named_agents,
    output_name,
    parts_of,
    query_keys,
)
from ai_coordination_engine.domain.prompts import fill_element
from ai_coordination_engine.domain.scope import Scope
from ai_coordination_engine.domain.shapes import AgentAction
from ai_coordination_engine.engine.advance import ending
from ai_coordination_engine.engine.advance.ending import end_those
from ai_coordination_engine.engine.app import App, wake
from ai_coordination_engine.engine.graph import inputs, rules
from ai_coordination_engine.engine.graph.edge_outcomes import Edge
from ai_coordination_engine.engine.graph.keys import (
    MAX_ELEMENTS,
    MAX_EXPANSIONS,
    agent_key,
    counter_shard_ordinal,
    edge_id_of,
    element_ordinal,
    family,
)
from ai_coordination_engine.engine.graph.sharing import Sharing
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.ports import AgentFailure, AgentResult
from ai_coordination_engine.store.models import CounterShard, SessionAgent
from ai_coordination_engine.store.record import M
from ai_coordination_engine.store.records import guards
from ai_coordination_engine.store.records.entities import SESSION_AGENT
from ai_coordination_engine.store.transitions import counter_shards
from ai_coordination_engine.store.transitions.outcome import applied

MAX_ASKED = 64_000_000  # characters of the queries of all elements of one map
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
    asked = _asked(app, agent, budget)  # before the map waits: invalid elements fail it here
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
    _start(app, agent, _asked(app, agent, Budget()))


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


def _asked(app: App, agent: SessionAgent, budget: Budget) -> list[Any]:
    """The query of each element, in its stored form."""
    asks = _Asked.of(agent)
    asked: list[Any] = []
    left = MAX_ASKED
    for index, element in enumerate(_elements(app, agent, budget)):
        asked.append(asks.query(element, index, budget))
        left -= sum(len(each) for each in parts_of(asked[-1]) if isinstance(each, str))
        if left < 0:
            message = (
                f"The map asks its elements more than {MAX_ASKED} characters together; it takes no"
                " more."
            )
            raise AgentFailure(message, error_class="invalid_output")
    return asked


def _elements(app: App, agent: SessionAgent, budget: Budget) -> Sequence[Any]:
    rule: Mapping[str, Any] = rules.of(agent)["map"]
    ordinals: Sequence[int] = agent.predecessors or ()
    before = inputs.passing(agent, inputs.read_outputs(app, agent, ordinals), budget)
    lists = [_list(each, rule, budget) for each in before if _is_over(rule, each)]
    elements = [element for each in lists for element in each]
    if not lists:
        raise AgentFailure(
            "The agent that the map is over gave no output.", error_class="invalid_output"
        )
    if len(elements) > (most := min(rule.get("most") or MAX_ELEMENTS, MAX_ELEMENTS)):
        raise AgentFailure(
            f"The map is over {len(elements)} elements; it takes at most {most}.",
            error_class="invalid_output",
        )
    return elements


def _list(source: inputs.AgentOutput, rule: Mapping[str, Any], budget: Budget) -> list[Any]:
    expression = rule.get("items")
    whose = (
        f"The output of {source.name}"
        if not expression
        else f"What {expression} finds in the output of {source.name}"
    )
    try:
        value = documents.read(source.output, budget)
        found = select(expression, value, budget) if expression else value
    except BadUserInput as error:
        raise AgentFailure(
            f"The map does not apply: {error.message}", error_class="invalid_output"
        ) from error
    except Spent as error:
        message = (
            f"The map does not apply: the output of {source.name} is more JSON than one step may"
            " read."
        )
        raise AgentFailure(message, error_class="invalid_output") from error
    except json_text.NotJSON as error:
        whose = f"The output of {source.name} {error}"
        message = (
            f"{whose}, but the map needs a list; it begins: {documents.quoted(source.output)}."
        )
        raise AgentFailure(message, error_class="invalid_output") from error
    if not isinstance(found, list):
        raise AgentFailure(
            f"{whose} is not a list, but the map needs one.", error_class="invalid_output"
        )
    return found


@dataclass(frozen=True)
class _Asked:
    """Makes the queries of a map's elements from the map's text and the scope of its
    placeholders.
    """

    text: str
    scope: Scope
    strict: bool

    @classmethod
    def of(cls, agent: SessionAgent) -> "_Asked":
        given = rules.of(agent)
        keys = query_keys(agent.task_query or "")
        text = agent.query or ""
        return cls(text, Scope.of([keys], given.get("names")), bool(given.get("strict")))

    def query(self, element: Any, index: int, budget: Budget) -> Any:
        """The query of one element, in its stored form. Raises `AgentFailure`."""
        try:
            filled = fill_element(self.text, element, index, self.scope, budget)
            budget.spend(
                sum(
                    documents.price_of_writing(each)
                    for each in filled.parts
                    if isinstance(each, str)
                )
            )
        except BadUserInput as error:
            raise _unfit(index, error.message) from error
        except Spent as error:
            raise _unfit(index, "the map writes more JSON than one step may.") from error
        if self.strict and filled.missing:
            raise _unfit(
                index,
                f"{', '.join(filled.missing[:5])[:500]} has no value, and the placeholders are"
                " strict.",
            )
        return filled.stored()

    @property
    def named(self) -> set[str]:
        """The uuids of the predecessors whose outputs the text uses."""
        return (
            named_agents(fill(self.text, self.scope.with_nothing()).stored())
            if "{" in self.text
            else set()
        )


def _unfit(index: int, why: str) -> AgentFailure:
    return AgentFailure(
        f"Element {index} of the map cannot be asked: {why}", error_class="invalid_output"
    )


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
    template = _template(app, agent, _Asked.of(agent).named)
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
        if name in ("policy", "fallback", "on_failure", "strict")
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
        "lease_seconds": agent.lease_seconds,
        "state": "initial",
        "epoch": agent.epoch,
        "in_degree": 0,
        "map_ordinal": agent.ordinal,
        "created_at": now,
        "updated_at": now,
        "updated_by": agent.updated_by,
    }
    share.write()
    return template


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
    return [each.ordinal for each in inputs.read(app, agent, before) if not _is_over(rule, each)]


def _is_over(rule: Mapping[str, Any], before: SessionAgent | inputs.AgentOutput) -> bool:
    """Whether the map is over the output of this predecessor. A planned one is over that of one
    step, whatever else its agent does.
    """
    if "ordinal" in rule:
        return bool(before.ordinal == rule["ordinal"])
    return bool(before.agent_uuid == rule["over"])


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
