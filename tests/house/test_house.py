"""Functions and conditions stay simple in every folder of the package."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.density import (
    MOST_COMPLEX,
    MOST_LINES,
    ROOT,
    complexity,
    functions,
    length,
    long_conditions,
    nested_ternaries,
)

TESTS = ROOT.parent / "tests"
OF_NO_ROOM = {
    "benchmarks",
    "clients",
    "conformance",
    "console",
    "deployment",
    "examples",
    "house",
    "install",
    "kit",
    "model",
    "promises",
    "readme",
}
GENERATED = {"client/operations.py"}
ROOMS = ("adapters", "api", "client", "domain", "engine", "entrypoints", "store")


def files(room: str) -> Iterator[tuple[Path, ast.Module]]:
    return (
        (path.relative_to(ROOT), ast.parse(path.read_text()))
        for path in sorted((ROOT / room).rglob("*.py"))
    )


@pytest.mark.parametrize("room", ROOMS)
def test_no_function_is_too_complex(room: str) -> None:
    measured = {
        f"{path}:{each.lineno} {each.name}": complexity(each)
        for path, tree in files(room)
        for each in functions(tree)
    }
    assert measured
    assert {name: number for name, number in measured.items() if number > MOST_COMPLEX} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_function_is_too_long(room: str) -> None:
    measured = {
        f"{path}:{each.lineno} {each.name}": length(each)
        for path, tree in files(room)
        for each in functions(tree)
        if path.as_posix() not in GENERATED
    }
    assert measured
    assert {name: number for name, number in measured.items() if number > MOST_LINES} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_no_conditional_expression_is_within_another(room: str) -> None:
    assert [
        f"{path}:{each.lineno}" for path, tree in files(room) for each in nested_ternaries(tree)
    ] == []


@pytest.mark.parametrize("room", ROOMS)
def test_every_part_of_a_long_condition_has_a_name(room: str) -> None:
    assert [
        f"{path}:{each.lineno}" for path, tree in files(room) for each in long_conditions(tree)
    ] == []


def folders(root: Path, pattern: str) -> set[str]:
    """Return the folders below the root with such a file; the root itself is `.`."""
    return {path.parent.relative_to(root).as_posix() for path in root.rglob(pattern)}


def test_the_tests_mirror_the_package() -> None:
    written = ("/examples", "/new_folder")  # for people, by `ace`
    rooms = {each for each in folders(ROOT, "*.py") if not any(name in each for name in written)}
    assert "engine/advance" in rooms
    tested = {each for each in folders(TESTS, "*.py") if each.split("/")[0] not in OF_NO_ROOM}
    assert sorted(tested ^ rooms) == []


def test_what_is_tested_beside_the_rooms_is_beside_them_in_the_package() -> None:
    tested = {path.stem.removeprefix("test_") for path in TESTS.glob("test_*.py")}
    assert "observability" in tested
    assert sorted(tested - {path.stem for path in ROOT.glob("*.py")}) == []


def function(*lines: str) -> ast.AST:
    return ast.parse("\n".join(["def f(a, b, c):", *(f"    {line}" for line in lines)])).body[0]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["return a"], 1),
        (["return a and b and c"], 3),
        (["return a if b else c"], 2),
        (["return [x for x in a for y in b]"], 3),
        (["for x in a:", "    if x or b:", "        return c"], 4),
        (["match a:", "    case 1: return b", "    case 2: return c", "    case _: return a"], 3),
        (["try:", "    return a", "except ValueError:", "    return b"], 2),
        (["def g(x):", "    return x and a and b", "return g"], 1),
    ],
)
def test_the_measure(lines: list[str], expected: int) -> None:
    assert complexity(function(*lines)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def f(a):\n    return a", 2),
        ("@g\ndef f(\n    a,\n):\n    return (\n        a\n    )", 6),
        ('def f(a):\n    """One."""\n    return a', 2),
        ('async def f(a):\n    """One.\n\n    Two.\n    """\n\n    return a', 3),
    ],
)
def test_the_length_of_a_function(text: str, expected: int) -> None:
    assert [length(each) for each in functions(ast.parse(text))] == [expected]


def test_the_nested_are_found() -> None:
    texts = [
        "a if b else c if d else e",
        "a if b else (c, d if e else f)",
        "(a if b else c, d if e else f)",
    ]
    assert [len(list(nested_ternaries(ast.parse(each)))) for each in texts] == [1, 1, 0]


def test_long_conditions_are_found() -> None:
    texts = [
        "a and b and not (c or d)",
        "a and (b or c)",
        "a and b(c and d and e)",
        "a or b or c or d",
    ]
    assert [len(list(long_conditions(ast.parse(each)))) for each in texts] == [1, 0, 0, 1]
