"""The queries of a map's elements: read the list, and fill the map's text for each element.

`advance.maps` is the caller.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import documents, json_text
from ai_coordination_engine.domain.budget import Budget, Spent
from ai_coordination_engine.domain.conditions import select
from ai_coordination_engine.domain.placeholders import fill, query_keys
from ai_coordination_engine.domain.prompts import fill_element
from ai_coordination_engine.domain.scope import Scope
from ai_coordination_engine.domain.text_parts import named_agents, parts_of
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.graph import inputs, rules
from ai_coordination_engine.engine.graph.keys import (
    MAX_ELEMENTS,
)
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.store.models import SessionAgent

MAX_ASKED = 64_000_000  # characters of the queries of all elements of one map


def queries_of_elements(app: App, agent: SessionAgent, budget: Budget) -> list[Any]:
    """The query of each element, in its stored form."""
    asks = ElementQueries.of(agent)
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
    lists = [_list(each, rule, budget) for each in before if is_over_list_of(rule, each)]
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
class ElementQueries:
    """Makes the queries of a map's elements from the map's text and the scope of its
    placeholders.
    """

    text: str
    scope: Scope
    strict: bool

    @classmethod
    def of(cls, agent: SessionAgent) -> "ElementQueries":
        """The queries of the elements of a map."""
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


def is_over_list_of(rule: Mapping[str, Any], before: SessionAgent | inputs.AgentOutput) -> bool:
    """Whether this predecessor has the list of the map.

    `rule`: the map's. A map in a plan names one step by its ordinal; its agent may have others.
    """
    if "ordinal" in rule:
        return bool(before.ordinal == rule["ordinal"])
    return bool(before.agent_uuid == rule["over"])
