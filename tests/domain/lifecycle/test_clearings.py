"""What a transition clears is a column of its row: no other module has such a list."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import ai_coordination_engine
from ai_coordination_engine.domain.lifecycle.agents import AGENT_TRANSITIONS, RESET

ROOT = Path(ai_coordination_engine.__file__).parent
CLEARED = {name for row in AGENT_TRANSITIONS for name in row.clears}

# Removed beside what the row clears, under a condition that only the caller knows.
UNDER_A_CONDITION = {
    "engine/advance/conclusion.py": {
        *("corrections", "correction"),  # the fallback begins anew
        *("asks", "reply"),  # and so does an agent whose answer was unfit
    },
    "engine/advance/pinning.py": {"notes"},  # of an earlier failure, as in `complete`
    "engine/control/reset.py": {"elements_sent"},  # unless the map keeps its elements
    "store/transitions/agent_attempts.py": {"notes"},  # of an earlier failure
    "store/transitions/attempts.py": {"started_at", "ended_at"},  # a client writes a state
}
# Cleared by another row, but written anew by a reset (`engine.control.reset`), or kept.
NOT_SET_BACK = {
    "attempt",
    "awaits_user",
    "counter_shards",
    "elements_sent",
    "first_run",
    "held_after",
    "lost_runs",
    "needs",
    "sink_count",
    "still_needed",
}


def removals(tree: ast.AST) -> Iterator[str]:
    """Yield the attributes that code removes: `Model.name.remove()`, or None as a value by name."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(attr="remove", value=ast.Attribute(attr=name))):
                yield name
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and _is_none(value):
                        yield str(key.value)


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def test_what_is_removed_beside_the_rows_depends_on_a_condition() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    for room in ("engine", "store/transitions"):
        for path in (ROOT / room).rglob("*.py"):
            if names := CLEARED & {*removals(ast.parse(path.read_text(encoding="utf-8")))}:
                found[path.relative_to(ROOT).as_posix()] = names
    assert found == UNDER_A_CONDITION


def test_a_reset_clears_what_every_other_row_clears_unless_it_writes_it() -> None:
    assert CLEARED - {*RESET.clears} == NOT_SET_BACK


def test_removals_are_found() -> None:
    text = "a = [Model.notes.remove(), x.y]\nb = {'plan': None, 'mapped': 1, **c}\nlines.remove(1)"
    assert {*removals(ast.parse(text))} == {"notes", "plan"}
