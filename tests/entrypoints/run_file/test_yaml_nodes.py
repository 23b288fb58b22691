"""Merge keys, aliases and encodings; problems of invalid files are reported with their places."""

import json
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from ai_coordination_engine.entrypoints.run_file.run_file import (
    RunFileError,
    parse_run_file,
    read_run_file,
)
from ai_coordination_engine.entrypoints.run_file.yaml_nodes import MAX_BYTES
from tests.kit.run_files import GOOD, problems

MERGED = """\
x-shared:
  - &model {kind: openai, model: good, temperature: 0.1, instructions: Be brief}
  - &patient {retry: {attempts: 2}, description: Waits.}
  - &deeper {<<: *patient, description: Waits long., type: task}
coordination:
  agents:
    - {name: a, <<: *deeper, runtime: *model}
    - {name: b, runtime: {temperature: 0.9, <<: *model}, <<: [{agentDescription: First.}, *deeper]}
task:
  subtasks:
    - &one {agent: a, query: q}
    - {<<: *one, agent: b}
  actions:
    b: &rule {after: a, when: "ok == `true`"}
    <<: {b: {after: b}, a: {<<: *rule, after: [], when: {}, join: all}}
query:
  base: &base {tone: friendly, length: short}
  <<: *base
  topic: heat
  length: long
"""


def test_merge_keys_work_everywhere_and_what_is_written_wins() -> None:
    run = parse_run_file(MERGED)
    model = {"kind": "openai", "model": "good", "temperature": 0.1, "instructions": "Be brief"}
    shared = {"policy": {"attempts": 2}, "agent_type": "task"}
    a = {
        **shared,
        "agent_uuid": "a",
        "agent_name": "a",
        "agent_description": "Waits long.",
        "runtime": model,
    }
    hot = model | {"temperature": 0.9}
    b = {
        **shared,
        "agent_uuid": "b",
        "agent_name": "b",
        "agent_description": "First.",
        "runtime": hot,
    }
    assert run.agents == [a, b]
    assert run.subtask_queries == [
        {"agent_uuid": "a", "subtask_query": "q"},
        {"agent_uuid": "b", "subtask_query": "q"},
    ]
    assert run.agent_actions == {
        "b": {"predecessors": ["a"], "conditions": {"a": "ok == `true`"}},
        "a": {"predecessors": [], "conditions": {}, "join": "all"},
    }
    base = {"tone": "friendly", "length": "short"}
    assert json.loads(run.task_query) == {**base, "base": base, "topic": "heat", "length": "long"}


def test_a_file_may_be_read_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    def given(text: str) -> None:
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(text.encode())))

    given(GOOD)
    assert read_run_file(Path("-")).task_name == parse_run_file(GOOD).task_name
    given(GOOD.replace("name: Write", "name: 7"))
    with pytest.raises(RunFileError, match="<stdin>:8:9: name must be text"):
        read_run_file(Path("-"))


@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_may_have_a_byte_order_mark(tmp_path: Path, codec: str, end: str) -> None:
    file = tmp_path / "marked.yaml"
    file.write_bytes(GOOD.replace("bees", "Bienenstöcke").replace("\n", end).encode(codec))
    assert json.loads(read_run_file(file).task_query)["topic"] == "Bienenstöcke"
    file.write_bytes(GOOD.replace("name: Write", "name: 7").replace("\n", end).encode(codec))
    with pytest.raises(
        RunFileError, match=r'marked\.yaml:8:9: name must be text; write "7" in quotes'
    ):
        read_run_file(file)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "1:1: is empty; it needs coordination, task and query"),
        ("a: [", "1:5: is not YAML: expected the node content, but found '<stream end>'"),
        ("a: b\n\tc: d", "2:1: is not YAML: found character '\\t' that cannot start any token"),
        ("a: 1\nb: \x01", "2:1: has a character that YAML forbids: #x0001"),
        ("- a", "1:1: the file must be a mapping"),
        ("a: 1\n---\nb: 2", "2:1: is not YAML: but found another document"),
        ("coordination: {}\ntask: {}", "1:15: coordination needs at least one agent"),
        ("task: {}", '1:1: the file needs the key "coordination"'),
        ("a: *b", "1:4: is not YAML: found undefined alias 'b'"),
        (
            "a: {b: Is it?}",
            (
                "1:13: is not YAML: expected ',' or '}', but got '?'; "
                "within { } and [ ] a text with any of { } [ ] , ? needs quotes"
            ),
        ),
        (
            "a: [b: Hello {who}]",
            (
                "1:14: is not YAML: expected ',' or ']', but got '{'; "
                "within { } and [ ] a text with any of { } [ ] , ? needs quotes"
            ),
        ),
        (
            "a: {who} is it",
            (
                "1:10: is not YAML: expected <block end>, but found '<scalar>'; keys of one mapping"
                " begin in one column, and a text that begins with {, [ or a quote needs quotes"
                " around all of it"
            ),
        ),
        (
            "a: Note: this",
            (
                "1:8: is not YAML: mapping values are not allowed here; a text with a colon and a"
                " space needs quotes"
            ),
        ),
        ('a: {b: "c}\nd: e\n', "1:8: is not YAML: the quotes that begin here do not end"),
        ("a: &a {<<: *a}", "1:1: is nested deeper than 50 levels"),
        ("a: &a [*a]", "1:1: is nested deeper than 50 levels"),
        ("[" * 5000, "1:1: is nested deeper than 50 levels"),
        ("x" * (MAX_BYTES + 1), "1:1: is larger than 1 MB"),
    ],
)
def test_what_is_no_run_file_at_all_is_said(text: str, expected: str) -> None:
    assert problems(text) == [f"c.yaml:{expected}"]


def test_a_bomb_of_aliases_does_not_go_off() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    bomb = "\n".join(["a0: &a0 [lol]", *levels])
    assert problems(bomb) == [
        "c.yaml:1:1: has more than 100000 values when its aliases are followed"
    ]


def test_an_alias_is_good_for_what_repeats() -> None:
    text = GOOD.replace("runtime: {kind", "runtime: &r {kind").replace(
        "uuid: w-1}", "uuid: w-1, runtime: *r}"
    )
    assert [agent["runtime"] for agent in parse_run_file(text).agents] == [
        {"kind": "function", "name": "echo"}
    ] * 2


def test_a_file_that_cannot_be_read_is_a_problem_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(
        RunFileError, match=r"none\.yaml:1:1: cannot be read: No such file or directory"
    ):
        read_run_file(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xff")
    with pytest.raises(RunFileError, match=r"latin\.yaml:1:1: is not UTF-8 text"):
        read_run_file(tmp_path / "latin.yaml")
