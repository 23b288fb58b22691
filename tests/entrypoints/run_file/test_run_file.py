"""A run file says what is wrong where, all of it at once."""

import json
import re
from pathlib import Path

import pytest

from ai_coordination_engine.entrypoints.run_file.run_file import (
    RunFileError,
    parse_run_file,
    read_run_file,
)
from ai_coordination_engine.entrypoints.run_file.yaml_nodes import MAX_BYTES

GOOD = """\
coordination:
  name: Brief
  description: Two agents
  agents:
    - {name: researcher, description: You search., runtime: {kind: function, name: echo}}
    - {name: writer, uuid: w-1}
task:
  name: Write
  subtasks:
    - {agent: researcher, query: "Find {topic}"}
    - {agent: researcher, query: Find more}
    - {agent: w-1, query: Write it}
  actions:
    writer: {after: [researcher], ask: ada, primary_path: false, function: {module: m, name: f}}
query: {topic: bees, count: 2}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(RunFileError) as caught:
        parse_run_file(text, "c.yaml")
    return caught.value.message.split("\n")


def replaced(old: str, new: str) -> list[str]:
    assert old in GOOD
    return problems(GOOD.replace(old, new))


def test_a_file_becomes_what_the_api_takes() -> None:
    run = parse_run_file(GOOD)
    assert run.agents == [
        {
            "agent_uuid": "researcher",
            "agent_name": "researcher",
            "agent_description": "You search.",
            "runtime": {"kind": "function", "name": "echo"},
        },
        {"agent_uuid": "w-1", "agent_name": "writer"},
    ]
    assert run.subtask_queries == [
        {"agent_uuid": "researcher", "subtask_query": "Find {topic}"},
        {"agent_uuid": "researcher", "subtask_query": "Find more"},
        {"agent_uuid": "w-1", "subtask_query": "Write it"},
    ]
    assert run.agent_actions == {
        "w-1": {
            "predecessors": ["researcher"],
            "primary_path": False,
            "user_in_the_loop": "ada",
            "action_function": {"module_name": "m", "function_name": "f"},
        }
    }
    assert (run.coordination_name, run.coordination_description, run.task_name) == (
        "Brief",
        "Two agents",
        "Write",
    )
    assert json.loads(run.task_query) == {"topic": "bees", "count": 2}


def test_the_names_of_the_api_are_taken_too() -> None:
    run = parse_run_file("""\
coordination:
  coordinationName: Brief
  coordination_description: Two agents
  agents:
    - agentUuid: researcher
      agent_name: researcher
      agentDescription: You search.
      runtime: {kind: function, name: echo}
    - {agentUuid: w-1, agentName: writer}
task:
  taskName: Write
  subtaskQueries:
    - {agentUuid: researcher, subtaskQuery: "Find {topic}"}
    - {agent_uuid: researcher, subtask_query: Find more}
    - {agentUuid: w-1, subtaskQuery: Write it}
  agentActions:
    w-1:
      predecessors: [researcher]
      userInTheLoop: ada
      primaryPath: false
      actionFunction: {moduleName: m, functionName: f}
taskQuery: {topic: bees, count: 2}
""")
    assert run == parse_run_file(GOOD)


def test_uuids_follow_from_the_names_unless_given() -> None:
    one, two = parse_run_file(GOOD), parse_run_file(GOOD.replace("topic: bees", "topic: ants"))
    assert (one.coordination_uuid, one.task_uuid) == (two.coordination_uuid, two.task_uuid)
    other = parse_run_file(GOOD.replace("name: Brief", "name: Other\n  uuid: c-1"))
    assert (other.coordination_uuid, other.task_uuid != one.task_uuid) == ("c-1", True)


def test_an_agent_that_is_not_defined_is_named_with_a_suggestion() -> None:
    assert replaced("after: [researcher]", "after: [reseacher]") == [
        'c.yaml:14:22: agent "reseacher" is not defined; did you mean "researcher"?'
    ]
    assert replaced("agent: w-1", "agent: nobody") == [
        'c.yaml:12:15: agent "nobody" is not defined'
    ]
    assert replaced("    writer: {after", "    writter: {after") == [
        'c.yaml:14:5: agent "writter" is not defined; did you mean "writer"?'
    ]


def test_a_cycle_is_named() -> None:
    assert replaced(
        "    writer: {after", "    researcher: {after: writer}\n    writer: {after"
    ) == ["c.yaml:14:5: these agents wait for each other: researcher -> w-1 -> researcher"]
    assert replaced("after: [researcher]", "after: [writer]") == [
        "c.yaml:14:5: these agents wait for each other: w-1 -> w-1"
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("subtasks:", "subtask:", '9:3: task has no key "subtask"; did you mean "subtasks"?'),
        (
            "query: {topic",
            "qury: {topic",
            '15:1: the file has no key "qury"; did you mean "query"?',
        ),
        ("ask: ada", "zzz: ada", '14:35: an action has no key "zzz"'),
        (
            "ask: ada",
            "ask: ada, zzz",
            '14:45: an action has no key "zzz"; a text with a comma needs quotes',
        ),
        ("  name: Brief", "  name: Brief\n  name: Again", '3:3: coordination has "name" twice'),
        (
            "  name: Brief",
            "  name: Brief\n  coordinationName: X",
            '3:3: coordination has "coordinationName" twice',
        ),
        ("name: writer, uuid: w-1", "name: w-1", '14:5: agent "writer" is not defined'),
        (
            "{name: writer, uuid: w-1}",
            "{name: researcher}",
            '6:7: agent "researcher" is defined twice',
        ),
        ("{name: writer, uuid: w-1}", "{uuid: null, name: null}", "6:7: an agent needs a name"),
        (
            "kind: function",
            "kind: magic",
            "5:61: runtime needs a kind: one of function, http, openai",
        ),
        (
            "uuid: w-1",
            "uuid: w-1, type: boss",
            "6:39: type must be one of task, triage, decompose, planning",
        ),
        ("name: Write", "name: 2024", '8:9: name must be text; write "2024" in quotes'),
        (
            "name: Write",
            "name: [a]",
            "8:9: name must be text; one that begins with { or [ needs quotes",
        ),
        ("name: Write", "taskName: 7", '8:13: taskName must be text; write "7" in quotes'),
        ("name: writer, uuid", "name: 7, uuid", '6:14: name must be text; write "7" in quotes'),
        (
            "name: writer, uuid",
            "agentName: 7, uuid",
            '6:19: agentName must be text; write "7" in quotes',
        ),
        ("module: m,", "module: 7,", '14:85: module must be text; write "7" in quotes'),
        ("after: [researcher]", "after: 7", '14:21: after must be text; write "7" in quotes'),
        ("ask: ada", "userInTheLoop: 7", '14:50: userInTheLoop must be text; write "7" in quotes'),
        (
            "runtime: {kind: function, name: echo}",
            "runtime: echo",
            "5:61: runtime must be a mapping, such as {kind: function, name: echo}",
        ),
        ("primary_path: false", "primary_path: maybe", "14:59: primary_path must be true or false"),
        ("agent: w-1, query", "query", "12:7: a subtask needs an agent"),
        ("after: [researcher]", "after: {a: b}", "14:21: after must be a list"),
        ("count: 2", "count: .nan", "15:29: '.nan' is not a value that JSON has"),
        ("count: 2", 'count: !!int "1_000"', "15:29: '1_000' is not a value that JSON has"),
        (
            "count: 2",
            "count: !!python/name:os.system x",
            '15:29: has the tag "!!python/name:os.system", which is not supported',
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_place(old: str, new: str, expected: str) -> None:
    assert f"c.yaml:{expected}" in replaced(old, new)


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
    assert re.fullmatch(r"c\.yaml:5:\d+: '1e400' is not a value that JSON has", problem)


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


def test_all_problems_are_reported_at_once_in_the_order_of_the_file() -> None:
    text = (
        GOOD.replace("name: Brief", "name: 1")
        .replace("agent: w-1", "agent: x")
        .replace(" ask:", " asks:")
    )
    assert problems(text) == [
        'c.yaml:2:9: name must be text; write "1" in quotes',
        'c.yaml:12:15: agent "x" is not defined',
        'c.yaml:14:35: an action has no key "asks"; did you mean "ask"?',
    ]


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


RULES = """\
coordination:
  agents:
    - {name: lister, retry: {attempts: 5, retryOn: [timeout]}}
    - {name: worker}
    - {name: spare, uuid: s-1}
    - {name: judge}
task:
  on_failure: continue
  actions:
    worker: {after: lister, map: lister, retry: {attempts: 2, backoff_seconds: 0.5}, fallback: spare}
    s-1: {after: [lister], when: "ok == `true`"}
    judge:
      after: [worker, spare, lister]
      join: quorum
      quorum: 2
      when: {spare: "length(@) > `3`"}
      ask: ada
      answer_schema: {type: object, properties: {fileName: {const: null}}}
      answer_within_seconds: 60
      default_answer: "{}"
"""  # noqa: E501


def rule_problems(old: str, new: str) -> list[str]:
    assert old in RULES
    return problems(RULES.replace(old, new))


def test_the_rules_of_an_action_name_agents_and_keep_data_as_it_is() -> None:
    run = parse_run_file(RULES)
    assert run.on_failure == "continue"
    assert run.agents[0]["policy"] == {"attempts": 5, "retry_on": ["timeout"]}
    assert run.agent_actions == {
        "worker": {
            "predecessors": ["lister"],
            "map": {"over": "lister"},
            "policy": {"attempts": 2, "backoff_seconds": 0.5},
            "fallback": "s-1",
        },
        "s-1": {"predecessors": ["lister"], "conditions": {"lister": "ok == `true`"}},
        "judge": {
            "predecessors": ["worker", "s-1", "lister"],
            "join": "quorum",
            "quorum": 2,
            "conditions": {"s-1": "length(@) > `3`"},
            "user_in_the_loop": "ada",
            "answer_schema": {"type": "object", "properties": {"fileName": {"const": None}}},
            "answer_within_seconds": 60,
            "default_answer": "{}",
        },
    }


def test_the_long_form_of_a_map_is_taken_too() -> None:
    run = parse_run_file(
        RULES.replace("map: lister", "map: {over: lister, items: rows, join: all_terminal}")
    )
    assert run.agent_actions["worker"]["map"] == {
        "over": "lister",
        "items": "rows",
        "join": "all_terminal",
    }


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "attempts: 2",
            "attempts: -1",
            "10:60: retry.attempts: must be greater than or equal to 1.",
        ),
        ("attempts: 5", "attempts: 0", "3:40: retry.attempts: must be greater than or equal to 1."),
        ("attempts: 2", "tries: 2", '10:50: retry has no key "tries"'),
        (
            "attempts: 2",
            "attempt: 2",
            '10:50: retry has no key "attempt"; did you mean "attempts"?',
        ),
        ("quorum: 2", "quorum: 4", "15:15: quorum: 4 of 3 can never be reached."),
        (
            "join: quorum",
            "join: most",
            "14:13: join: must be 'all', 'any', 'quorum' or 'all_terminal'.",
        ),
        (
            "fallback: spare",
            "fallback: sparse",
            '10:96: agent "sparse" is not defined; did you mean "spare"?',
        ),
        (
            "fallback: spare",
            "fallback: worker",
            "10:96: fallback is the agent itself; name another agent of the",
        ),
        (
            "map: lister",
            "map: judge",
            "10:34: map is no predecessor of this agent; name one of its",
        ),
        ("map: lister", "map: {under: lister}", '10:35: map has no key "under"'),
        ("ok == `true`", "ok ==", "11:34: when: ok == is no JMESPath expression: "),
        ("{spare: ", "{sparse: ", '16:14: agent "sparse" is not defined; did you mean "spare"?'),
        (
            '{spare: "length(@) > `3`"}',
            "x",
            "16:13: when must say which predecessor it is about, as {name: expression}",
        ),
        ('{spare: "length(@) > `3`"}', "[x]", "16:13: when must be a mapping of predecessors"),
        ("type: object", "type: thing", "18:22: answer_schema: it is no JSON Schema: at $.type, "),
        (
            'default_answer: "{}"',
            "default_answer: 7",
            '20:23: default_answer must be text; write "7" in quotes',
        ),
        (
            'default_answer: "{}"',
            'default_answer: "[]"',
            "20:23: default_answer: the answer does not conform to the answer_s",
        ),
        (
            "on_failure: continue",
            "on_failure: ignore",
            "8:15: on_failure must be one of fail_fast, continue",
        ),
    ],
)
def test_a_rule_that_cannot_work_is_said_at_its_place(old: str, new: str, expected: str) -> None:
    (found,) = rule_problems(old, new)
    assert found.startswith(f"c.yaml:{expected}")


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("agents[0].policy.retryOn[0]: no class.", ["3:53: retry.retryOn[0]: no class."]),
        ("agents[0].policy.retry_on[0]: no class.", ["3:53: retry.retryOn[0]: no class."]),
        ("agents[2].agentUuid: taken.", ["5:27: uuid: taken."]),
        ("agents[3]: something.", ["6:7: something."]),
        ("agents: agentUuid 'x' is given twice.", ["3:5: agents: uuid 'x' is given twice."]),
        ("agentActions.s-1.conditions.lister: wrong.", ["11:34: when: wrong."]),
        ("agentActions.judge.conditions.s-1: wrong.", ["16:21: when.spare: wrong."]),
        (
            "agentActions.judge.answerSchema.properties.fileName is odd.",
            ["18:60: answer_schema.properties.fileName is odd."],
        ),
        (
            "agentActions.judge: without userInTheLoop there is no effect of answerSchema.",
            ["12:5: without ask there is no effect of answer_schema."],
        ),
        ("agentActions.worker.map.over: wrong.", ["10:34: map: wrong."]),
        ("agentActions.worker.unknown.deep: wrong.", ["10:5: unknown.deep: wrong."]),
        ("agents[9].policy: wrong.", ["3:5: agents[9].policy: wrong."]),
        ("The task has 5,001 subtasks to run.", ["8:3: The task has 5,001 subtasks to run."]),
        (
            "The coordination has no agent that could run.",
            ["2:3: The coordination has no agent that could run."],
        ),
        ("onFailure: wrong.", ["8:15: on_failure: wrong."]),
        (
            "agents[1].agentName: wrong; agents[2].agentName: wrong, too; and more.",
            [
                "4:14: name: wrong",
                "5:14: name: wrong, too; and more.",
            ],
        ),
    ],
)
def test_what_the_api_says_is_shown_at_its_place_by_the_key_that_was_written(
    message: str, lines: list[str]
) -> None:
    run = parse_run_file(RULES, "c.yaml")
    assert run.at_their_places(message) == [f"c.yaml:{line}" for line in lines]


def test_a_warning_about_an_unknown_key_stands_at_the_key() -> None:
    text = GOOD.replace("name: echo}", "name: echo, tempo: 1}")
    run = parse_run_file(text, "c.yaml")
    assert run.at_their_places('agents[0].runtime: the key "tempo" is unknown.', "warning: ") == [
        'c.yaml:5:97: warning: runtime: the key "tempo" is unknown.'
    ]
    assert run.of_agent("w-1", "runtime", "not allowed") == "c.yaml:6:7: not allowed"
    assert run.of_agent("w-1", "action_function", "not allowed") == "c.yaml:14:76: not allowed"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "name: echo}",
            "name: echo, max_tokens: many}",
            "runtime.max_tokens: must be a whole number",
        ),
        ("name: echo}", "name: echo, api_key: hush}", "runtime: "),
        ("name: Brief", 'name: "B"\n  agents_: []', 'coordination has no key "agents_"'),
    ],
)
def test_what_only_the_api_checks_has_its_place_too(old: str, new: str, expected: str) -> None:
    found = replaced(old, new)
    assert [
        line
        for line in found
        if re.match(rf"c\.yaml:[1-9]\d*:[1-9]\d*: {re.escape(expected)}", line)
    ] == found


def test_places_are_found_in_a_time_that_grows_with_the_file() -> None:
    deep = "{a_b: " * 40 + "x" + "}" * 40
    run = parse_run_file(GOOD.replace("name: echo}", f"name: echo, deep_key: {deep}}}"), "c.yaml")
    (line,) = run.at_their_places("agents[0].runtime.deepKey.aB.aB: wrong.")
    assert line.endswith(": runtime.deep_key.a_b.a_b: wrong.")
