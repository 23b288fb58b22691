"""How sessions are drawn: the order and depth of agents, maps, measures."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest

from ai_coordination_engine.client.records import SessionRun
from ai_coordination_engine.entrypoints.cli import questions
from ai_coordination_engine.entrypoints.cli.progress import Progress, elapsed, measures
from ai_coordination_engine.entrypoints.cli.session_log import events
from ai_coordination_engine.entrypoints.cli.session_tree import as_tree
from ai_coordination_engine.entrypoints.cli.session_view import SessionView, as_text
from ai_coordination_engine.entrypoints.cli.terminal import Terminal
from tests.kit.views import NOW, record, seen


def after(*names: str) -> dict[str, object]:
    return {"agent_action": {"predecessors": [*names]}}


def drawn(*records: object, **fields: object) -> list[str]:
    tree = as_tree(seen(records), "", **fields)  # type: ignore[arg-type]
    return [line.rstrip() for line in tree.split("\n\n")[1].splitlines()]


def test_an_agent_is_below_the_last_of_those_that_it_waits_for() -> None:
    assert drawn(
        record("a", "completed"),
        record("b", "failed", **after("a"), notes="no\nway"),
        record("c", "executing", **after("b", "a")),
        record("d", **after("a", "c")),
        record("e", "skipped", **after("a")),
    ) == [
        "+ a        completed",
        "  x b      failed       no",
        "    > c    executing    after 2 agents.",
        "      . d  pending      after 2 agents.",
        "  - e      skipped",
    ]


def test_steps_of_a_plan_wait_for_steps() -> None:
    def step(name: str, *before: str) -> dict[str, object]:
        return {"agent_action": {"planStep": {"id": name, "after": [*before]}, "predecessors": []}}

    assert [
        line.rstrip()
        for line in drawn(
            record("1", "completed", agent_name="reader", **step("s1")),
            record("2", "pending", agent_name="reader", **step("s2", "s1")),
        )
    ] == ["+ reader    completed", "  . reader  pending"]


def test_a_cycle_that_a_client_wrote_does_no_harm() -> None:
    records = [record("a", **after("b")), record("b", **after("a")), record("c")]
    assert drawn(*records)[-1].split() == [".", "c", "pending"]


def test_a_map_shows_how_many_elements_have_ended_and_the_telling_ones() -> None:
    def element(index: int, state: str, seconds: int | None = None) -> object:
        return record(
            f"m{index}",
            state,
            agent_name="m",
            map_index=index,
            map_session_agent_uuid="m",
            started_at=NOW,
            ended_at=None if seconds is None else NOW + timedelta(seconds=seconds),
        )

    elements = [element(0, "completed", 5), element(1, "failed", 70), element(2, "skipped", 1)]
    assert drawn(record("m", "failed"), *elements) == [
        "x m       failed 3/3  1:10",
        "  x m[1]  failed      1:10",
    ]
    assert [line.split()[1] for line in drawn(record("m", "failed"), *elements, with_all=True)] == [
        "m",
        "m[0]",
        "m[1]",
        "m[2]",
    ]
    assert as_text(seen([record("m", agent_output="[1]"), *elements])) == "[1]"  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0.0 s"), (0.44, "0.4 s"), (12, "12 s"), (187, "3:07"), (7387, "2:03:07")],
)
def test_times_are_short(seconds: float, shown: str) -> None:
    assert elapsed(timedelta(seconds=seconds)) == shown


def test_an_attempt_that_is_not_the_first_is_numbered() -> None:
    (agent,) = seen(
        [record("a", "completed", attempt=3, started_at=NOW, ended_at=NOW + timedelta(seconds=2))]
    ).agents
    assert measures(agent) == "2.0 s · attempt 3"


def test_without_a_terminal_a_large_map_is_told_in_tenths() -> None:
    console = Terminal()
    console.file = StringIO()

    def of(done: int, *, failed: int = 0) -> SessionView:
        states = ["completed"] * (done - failed) + ["failed"] * failed
        states += ["pending"] * (40 - done)
        elements = [
            record(f"m{at}", state, agent_name="m", map_index=at, map_session_agent_uuid="m")
            for at, state in enumerate(states)
        ]
        return seen([record("m", "completed" if done == 40 else "pending"), *elements])

    progress = Progress(console)
    for view in (of(0), of(3), of(4), of(7), of(8, failed=1), of(40, failed=1)):
        progress.show(view)
    assert console.file.getvalue().splitlines() == [
        "m: pending 0/40",
        "m: pending 4/40",
        "m: pending 8/40",
        "m[7]: failed",
        "m: completed 40/40",
        "m[39]: failed",
    ]


def test_a_line_says_why_the_last_attempt_failed() -> None:
    console = Terminal()
    console.file = StringIO()
    progress = Progress(console)
    for state, notes in (
        ("pending", None),
        ("pending", "refused\nonce"),
        ("executing", "refused\nonce"),
        ("failed", "x" * 400),
        ("completed", "kept for later"),
    ):
        progress.show(seen([record("m", state, agent_name="m", notes=notes)]))
    assert console.file.getvalue().splitlines() == [
        "m: pending",
        "m: pending. refused\\x0aonce",
        "m: executing",
        f"m: failed. {'x' * 300}",
        "m: completed",
    ]


CALLS = [
    {"id": "1", "tool": "order", "arguments": {"item": "tea"}},
    {"id": "2", "tool": "mcp:files/remove", "arguments": {"path": "a"}},
]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (
            {"text": "The agent wants to call:\n1. …", "details": {"calls": CALLS}},
            'asks somebody: order({"item": "tea"}), mcp:files/remove({"path": "a"})',
        ),
        ({"text": "May I?\nIt is dear."}, "asks somebody: May I?"),
        (None, "asks somebody"),
        ({"details": {"calls": "strange"}}, "asks somebody"),
    ],
)
def test_who_waits_says_what_is_asked_in_one_line(question: object, expected: str) -> None:
    (line,) = drawn(record("a", "wait_for_user_input", question=question))
    assert line.endswith(expected)


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "boolean"}, '{"type": "boolean"}'),
        (
            {
                "anyOf": [
                    {"type": "boolean"},
                    {"type": "string"},
                    {
                        "type": "object",
                        "properties": {"approved": {"type": "boolean"}, "reason": {}},
                        "required": ["approved"],
                    },
                    {"type": "object", "properties": {"1": {}}, "required": ["1"]},
                ]
            },
            'true or false, or a text, or {"approved", "reason"?}, or {"1"}',
        ),
        ({"enum": ["yes", "no"], "description": "x" * 99}, '"yes" or "no"'),
        ({"type": ["integer", "null"], "title": "x" * 99}, "a whole number or null"),
        ({"not": {"title": "x" * 99}}, "any answer"),
    ],
)
def test_which_answers_are_expected_is_told_in_few_words(schema: object, expected: str) -> None:
    assert questions.expected(schema) == expected


def test_an_attempt_that_asked_says_so_in_the_log() -> None:
    told: dict[str, Any] = {
        "session_agent_uuid": "a",
        "status": "asked",
        "attempt": 1,
        "created_at": NOW,
    }
    none: dict[str, Any] = dict.fromkeys(SessionRun.model_fields)
    run = SessionRun.model_construct(**{**none, **told})
    (event,) = [each for each in events(seen([record("a")]), [run]) if each.agent]
    assert (event.what, event.details) == ("asked a person", "attempt 1")
