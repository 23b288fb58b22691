"""The values of a run file follow YAML 1.2; numbers keep their digits."""

import re

import pytest

from ai_coordination_engine.entrypoints.run_file.run_file import (
    parse_run_file,
)
from tests.kit.run_files import GOOD, problems


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("NO", '"NO"'),
        ("on", '"on"'),
        ("y", '"y"'),
        ("12:30", '"12:30"'),
        ("190:20:30", '"190:20:30"'),
        ("01234", '"01234"'),
        ("+49123", '"+49123"'),
        ("1_000", '"1_000"'),
        ("2026-12-24", '"2026-12-24"'),
        ("2026-12-24T10:00:00Z", '"2026-12-24T10:00:00Z"'),
        ("=", '"="'),
        ("<<", '"<<"'),
        ('"1.10"', '"1.10"'),
        ("!!str 1.10", '"1.10"'),
        ("1.10", "1.10"),
        ("19.90", "19.90"),
        ("1e3", "1e3"),
        ("1e400", "1e400"),
        ("-0", "-0"),
        ("12345678901234567890.123456789", "12345678901234567890.123456789"),
        ("9" * 5_000, "9" * 5_000),
        (".5", "0.5"),
        ("1.", "1.0"),
        ("0x1F", "31"),
        ('!!int "007"', "7"),
        ("0o17", "15"),
        ("017", '"017"'),
        ("True", "true"),
        ("~", "null"),
        ("", "null"),
        ("Null", "null"),
        (r'"\uD83D\uDE00"', '"😀"'),
        (
            "{1: a, yes: b, ~: c, 1.10: d, '': e}",
            '{"1": "a", "yes": "b", "~": "c", "1.10": "d", "": "e"}',
        ),
        ("[1.10, {a: NO}]", '[1.10, {"a": "NO"}]'),
    ],
)
def test_values_are_those_of_yaml_1_2_with_their_digits(written: str, value: str) -> None:
    text = GOOD.replace("query: {topic: bees, count: 2}", f"query:\n  at: {written}")
    assert parse_run_file(text).task_query == f'{{"at": {value}}}'


def test_numbers_of_a_runtime_are_plain_and_finite() -> None:
    runtime = "runtime: {kind: function, name: echo, temperature: 0.10, seed: 7, zip: 01234"
    text = GOOD.replace("runtime: {kind: function, name: echo", runtime)
    found = parse_run_file(text).agents[0]["runtime"]
    assert found == {
        "kind": "function",
        "name": "echo",
        "temperature": 0.1,
        "seed": 7,
        "zip": "01234",
    }
    assert type(found["temperature"]) is float
    (problem,) = problems(text.replace("0.10", "1e400"))
    assert re.fullmatch(r"c\.yaml:5:\d+: '1e400' is not a value that JSON can hold", problem)
