"""Names of agents in actions become uuids, and data stays unchanged."""

import pytest

from ai_coordination_engine.entrypoints.run_file.run_file import (
    parse_run_file,
)
from tests.kit.run_files import RULES, problems


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
            "join: quorums",
            "14:13: join: must be 'all', 'any', 'quorum' or 'all_terminal'; did you mean"
            ' "quorum"?',
        ),
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
            "10:34: map is not a predecessor of this agent; name one of its",
        ),
        ("map: lister", "map: {under: lister}", '10:35: map has no key "under"'),
        ("ok == `true`", "ok ==", "11:34: when: ok == is not a valid JMESPath expression: "),
        ("{spare: ", "{sparse: ", '16:14: agent "sparse" is not defined; did you mean "spare"?'),
        (
            '{spare: "length(@) > `3`"}',
            "x",
            "16:13: when must say which predecessor it is about, as {name: expression}",
        ),
        ('{spare: "length(@) > `3`"}', "[x]", "16:13: when must be a mapping of predecessors"),
        (
            "type: object",
            "type: thing",
            "18:22: answer_schema: it is not a JSON Schema: at $.type, ",
        ),
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
