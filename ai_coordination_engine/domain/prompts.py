"""Build an agent's input from its predecessors' outputs, its task and a person's answer. Pure."""

from collections.abc import Sequence

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.placeholders import Filled, fill
from ai_coordination_engine.domain.scope import Scope
from ai_coordination_engine.errors import BadUserInput

MAX_ELEMENT = 1_000_000  # characters of the text that one element of a map is asked


def compose_input(
    query: str,
    predecessors: Sequence[tuple[str, str]],
    user_input: str | None,
    *,
    task_first: bool = False,
) -> str:
    """Build an agent's input: the predecessors' outputs, then its query, then the person's answer.

    `predecessors`: pairs of name and output. `task_first`: the query comes before the outputs.
    """
    outputs = [f"Output of {name}:\n{output}" for name, output in predecessors]
    task = [query] if query else []
    parts = [*task, *outputs] if task_first else [*outputs, *task]
    if user_input is not None:
        parts.append(f"Answer of the user:\n{user_input}")
    return "\n\n".join(parts)


def fill_element(
    text: str, element: object, index: int, scope: Scope, budget: Budget | None = None
) -> Filled:
    """Fill `text` for one element of a map.

    Names are looked up in the keys of the element, then in `item` (the element) and `index`, then
    in `scope`. If the text uses neither the keys nor `item` nor `index`, the element is appended.
    Raises `BadUserInput` for a result of more than `MAX_ELEMENT` characters, or one that UTF-8
    cannot encode.
    """
    own = element if isinstance(element, dict) else {}
    filled = fill(
        text, scope.within(own, {"item": element, "index": index}), limit=MAX_ELEMENT, budget=budget
    )
    if not filled.layers & {0, 1}:
        between = "\n\n" if filled.parts else ""
        filled.parts.append(f"{between}Item:\n{_shown(element)}")
    length = sum(len(each) for each in filled.parts if isinstance(each, str))
    if length > MAX_ELEMENT:
        raise BadUserInput(
            f"Its text has {length} characters; what one element is asked takes {MAX_ELEMENT}."
        )
    try:
        "".join(each for each in filled.parts if isinstance(each, str)).encode()
    except UnicodeEncodeError as error:
        raise BadUserInput("Its text holds an invalid character.") from error
    return filled


def _shown(element: object) -> str:
    if isinstance(element, str):
        return element
    try:
        return json_text.dumps(element, limit=MAX_ELEMENT)
    except json_text.TooLong as error:
        raise BadUserInput(
            f"It has more than the {MAX_ELEMENT} characters that one element is asked."
        ) from error
