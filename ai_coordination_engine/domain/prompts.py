"""The text that an agent is given: placeholders filled, predecessors' outputs and the person's answer appended."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def fill_placeholders(text: str, task_query: str) -> str:
    """`text` with each `{name}` replaced by the value of that key, when `task_query` is a JSON object that has it.

    Strings are put in as they are, other values as JSON; a placeholder without a value stays.
    """
    if "{" not in text:
        return text
    values = _json_object(task_query)

    def value(match: re.Match[str]) -> str:
        if match[1] not in values:
            return match[0]
        found = values[match[1]]
        return found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)

    return _PLACEHOLDER.sub(value, text)


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

    A text that names none of them is followed by the element.
    """
    shown = element if isinstance(element, str) else json.dumps(element, ensure_ascii=False)
    values = {**(element if isinstance(element, dict) else {}), "item": element, "index": index}
    filled = fill_placeholders(text, json.dumps(values, ensure_ascii=False))
    return filled if text and filled != text else "\n\n".join(part for part in (text, f"Item:\n{shown}") if part)
