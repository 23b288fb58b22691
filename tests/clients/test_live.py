"""Subscriptions with real clients, set up as in docs/live.md."""

import json
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.kit.node import needs_node

pytestmark = [pytest.mark.conformance, needs_node]
DOCS = (Path(__file__).parents[2] / "docs" / "live.md").read_text(encoding="utf-8")
CLIENTS = ("ws", "sse", "urql", "urqlOverSse", "apollo")


def without_types(value: Any) -> Any:
    """Return the data without `__typename`, which some clients add."""
    if isinstance(value, dict):
        return {key: without_types(each) for key, each in value.items() if key != "__typename"}
    return [*map(without_types, value)] if isinstance(value, list) else value


def test_a_session_is_watched_to_its_end(url: str, work: Path, run: Callable[..., Any]) -> None:
    (block,) = re.findall(r"```js\n(// live: clients\n.*?)```", DOCS, re.DOTALL)
    (work / "live-clients.mjs").write_text(block, encoding="utf-8")
    found = run(work, "live.mjs", url)
    assert found.pop("refused") == "BAD_USER_INPUT"
    assert set(found) == {*CLIENTS}
    for name, each in found.items():
        seen = [without_types(session) for session in each["seen"]]
        assert seen[-1] == each["last"], name
        assert each["last"]["status"] == "cancelled", name
        texts = [json.dumps(session) for session in seen]
        assert all(one != other for one, other in pairwise(texts)), name
