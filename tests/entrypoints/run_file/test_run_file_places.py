"""Messages of the API are reported at their line and column, with the key as written."""

import re

import pytest

from ai_coordination_engine.entrypoints.run_file.run_file import (
    parse_run_file,
)
from tests.kit.run_files import GOOD, RULES, replaced


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ("agents[0].policy.retryOn[0]: no class.", ["3:53: retry.retryOn[0]: no class."]),
        ("agents[0].policy.retry_on[0]: no class.", ["3:53: retry.retryOn[0]: no class."]),
        ("agents[2].agentUuid: taken.", ["5:27: uuid: taken."]),
        ("agents[1].agent_uuid: the name is it.", ["4:14: name: the name is it."]),
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
    assert run.located(message) == [f"c.yaml:{line}" for line in lines]


def test_a_warning_about_an_unknown_key_stands_at_the_key() -> None:
    text = GOOD.replace("name: echo}", "name: echo, tempo: 1}")
    run = parse_run_file(text, "c.yaml")
    assert run.located('agents[0].runtime: the key "tempo" is unknown.', "warning: ") == [
        'c.yaml:5:97: warning: runtime: the key "tempo" is unknown.'
    ]
    assert run.agent_problem("w-1", "runtime", "not allowed") == (6, 7, "not allowed")
    assert run.agent_problem("w-1", "action_function", "not allowed") == (14, 76, "not allowed")


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
    (line,) = run.located("agents[0].runtime.deepKey.aB.aB: wrong.")
    assert line.endswith(": runtime.deep_key.a_b.a_b: wrong.")
