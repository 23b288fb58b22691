"""The text that an agent is given: placeholders filled, predecessors' outputs and the person's answer appended."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ai_coordination_engine.domain.texts import size_of
from ai_coordination_engine.errors import BadUserInput

MAX_FILLED = 8_000_000  # characters of all values that fill the placeholders of one text
MAX_ELEMENT = 1_000_000  # characters of what one element of a map is asked
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill_placeholders(text: str, task_query: str) -> str:
    """`text` with each `{name}` replaced by the value of that key, when `task_query` is a JSON object that has it.

    Strings are put in as they are, other values as JSON; a placeholder without a value stays. Raises `BadUserInput`
    when the values have more than `MAX_FILLED` characters together.
    """
    return _filled(text, _json_object(task_query), MAX_FILLED) if "{" in text else text


def _filled(text: str, values: Mapping[str, Any], limit: int) -> str:
    shown: dict[str, str] = {}
    room = limit

    def value(match: re.Match[str]) -> str:
        nonlocal room
        name = match[1]
        if name not in values:
            return match[0]
        if name not in shown:
            shown[name] = _shown(values[name], limit)
        room -= len(shown[name])
        if room < 0:
            raise _too_long(limit)
        return shown[name]

    return _PLACEHOLDER.sub(value, text)


def _shown(value: Any, limit: int) -> str:
    if isinstance(value, str):
        return value
    if size_of(value, limit) > limit:
        raise _too_long(limit)
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError as error:
        raise BadUserInput("A value that fills a placeholder is nested too deeply.") from error


def _too_long(limit: int) -> BadUserInput:
    return BadUserInput(
        f"A text has room for {limit} characters where its placeholders are filled; the values have more."
    )


def _json_object(text: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def compose_input(query: str, predecessors: Sequence[tuple[str, str]], user_input: str | None) -> str:
    """The agent's input: its query, then each predecessor's (name, output), then the person's answer."""
    parts = [query] if query else []
    parts.extend(f"Output of {name}:\n{output}" for name, output in predecessors)
    if user_input is not None:
        parts.append(f"Answer of the user:\n{user_input}")
    return "\n\n".join(parts)


def fill_element(text: str, element: Any, index: int) -> str:
    """What one element of a map is asked: `{item}`, `{index}` and the element's own keys filled in.

    A text that names none of them is followed by the element. Raises `BadUserInput` when it has more than
    `MAX_ELEMENT` characters, or one that UTF-8 does not know.
    """
    values = {**(element if isinstance(element, dict) else {}), "item": element, "index": index}
    asked = _filled(text, values, MAX_ELEMENT)
    if asked == text:
        asked = "\n\n".join(part for part in (text, f"Item:\n{_shown(element, MAX_ELEMENT)}") if part)
    if len(asked) > MAX_ELEMENT:
        raise BadUserInput(f"Its text has {len(asked)} characters; what one element is asked takes {MAX_ELEMENT}.")
    try:
        asked.encode()
    except UnicodeEncodeError as error:
        raise BadUserInput("Its text holds an invalid character.") from error
    return asked
