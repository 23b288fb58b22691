"""All problems of a run file are reported at once, with their places."""

import json

import pytest

from ai_coordination_engine.entrypoints.run_file.run_file import (
    parse_run_file,
)
from tests.kit.run_files import GOOD, problems, replaced


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
            "5:61: runtime needs a kind: one of function, http, openai, bedrock, lambda, agentcore,"
            " agent, a2a, not 'magic'",
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
        ("count: 2", "count: .nan", "15:29: '.nan' is not a value that JSON can hold"),
        ("count: 2", 'count: !!int "1_000"', "15:29: '1_000' is not a value that JSON can hold"),
        (
            "count: 2",
            "count: !!python/name:os.system x",
            '15:29: has the unsupported tag "!!python/name:os.system"',
        ),
    ],
)
def test_what_is_wrong_is_said_at_its_place(old: str, new: str, expected: str) -> None:
    assert f"c.yaml:{expected}" in replaced(old, new)


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


def test_a_task_may_be_planned() -> None:
    run = parse_run_file(GOOD)
    assert (run.plan, run.plan_limits, run.plan_fallback) == (False, None, None)
    run = parse_run_file(
        GOOD.replace(
            "task:\n",
            "task:\n  plan: true\n  plan_limits: {steps: 3}\n  planFallback: static\n",
        )
    )
    assert (run.plan, run.plan_limits, run.plan_fallback) == (True, {"steps": 3}, "static")


@pytest.mark.parametrize("key", ["exposeAs", "expose_as"])
def test_a_task_may_be_exposed(key: str) -> None:
    assert parse_run_file(GOOD).expose_as is None
    run = parse_run_file(GOOD.replace("task:\n", f"task:\n  {key}: {{name: r, as: [mcp]}}\n"))
    assert run.expose_as == {"name": "r", "as": ["mcp"]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('plan: "yes"', "plan must be true or false"),
        ("plan_limits: 3", "plan_limits must be an object, for example {steps: 20}."),
        ("plan_limits: {steps: 0}", "plan_limits.steps must be a whole number from 1 to 90."),
        (
            "plan_limits: {step: 3}",
            'plan_limits: the key "step" is unknown; it takes steps, depth, map, attempts;'
            ' did you mean "steps"?',
        ),
        ("plan_fallback: run", "plan_fallback must be one of fail, static"),
        ("budget: {tokens: -1}", "budget.tokens: must be greater than or equal to 0."),
        ("budget: {}", "budget: needs microUsd, tokens or both."),
        ("exposeAs: {name: a b}", "letters from a to z, digits, _, - and dots."),
        ("expose_as: report", 'exposeAs must be an object, for example {name: "report"}.'),
    ],
)
def test_wrong_keys_of_planning_and_exposure_are_told_with_their_place(
    line: str, message: str
) -> None:
    (problem,) = problems(GOOD.replace("task:\n", f"task:\n  {line}\n"))
    assert problem.endswith(message)


@pytest.mark.parametrize("key", ["on_exceeded", "onExceeded"])
def test_a_coordination_and_its_task_have_each_their_budget(key: str) -> None:
    text = GOOD.replace("task:\n", "task:\n  budget: {tokens: 5}\n").replace(
        "coordination:\n", f"coordination:\n  budget: {{microUsd: 9, {key}: pause}}\n"
    )
    run = parse_run_file(text)
    assert run.budget == {"tokens": 5}
    assert run.coordination_budget == {"microUsd": 9, key: "pause"}
    assert run.located("coordination.budget: is odd.") == ["<text>:2:11: budget: is odd."]
    (place,) = run.located("budget: is odd.")
    assert place.split(":")[1] == str(text[: text.index("budget: {tokens")].count("\n") + 1)
    wrong = GOOD.replace("coordination:\n", "coordination:\n  budget: {tokens: -1}\n")
    (problem,) = problems(wrong)
    assert problem.endswith("budget.tokens: must be greater than or equal to 0.")
