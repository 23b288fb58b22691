"""`ace costs`, and the line of a session's cost, against a server on loopback."""

import json
from collections.abc import Iterator

import pytest

from ai_coordination_engine.client import Client, operations
from ai_coordination_engine.entrypoints.cli.budget_lines import budget_line
from ai_coordination_engine.entrypoints.cli.cli import app
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server on which a session of one agent has ended."""
    spends = {"kind": "function", "name": "spend"}
    settings = Settings(auth="local", functions={"spend": "tests.kit.functions:spend"})
    with serving(settings, port=0) as running, Client(running.url) as client:
        agents = [{"agentUuid": "writer", "agentName": "Writer", "runtime": spends}]
        client.send(
            operations.insert_update_coordination(
                coordination_uuid="c", agents=agents, updated_by="me"
            )
        )
        subtasks = [{"agentUuid": "writer"}]
        client.send(
            operations.insert_update_task(
                coordination_uuid="c",
                task_uuid="t",
                task_name="Write",
                subtask_queries=subtasks,
                updated_by="me",
            )
        )
        session = client.start("c", "t", session_uuid="s-1")
        client.wait("c", session.session_uuid)
        yield running.url


def ace(url: str, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    capsys.readouterr()
    app([*words, "--url", url], result_action="return_value", exit_on_error=False)
    told = capsys.readouterr()
    return told.out, told.err


def test_costs_are_summed_up(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ace(url, capsys, "costs", "--by", "model")
    assert [line.split() for line in out.splitlines()] == [
        ["MODEL", "COST", "INPUT", "OUTPUT", "RUNS", "UNPRICED"],
        ["gpt-4o-mini", "0.000290", "USD", "1,000", "234", "1", "0"],
        ["total", "0.000290", "USD", "1,000", "234", "1", "0"],
    ]
    for by, key, name in (
        ("agent", "agentUuid", "writer"),
        ("coordination", "coordinationUuid", "c"),
    ):
        told = json.loads(ace(url, capsys, "costs", "--by", by, "--json")[0])
        (row,) = told["costs"]
        assert row == {
            key: name,
            "microUsd": 290,
            "inputTokens": 1000,
            "outputTokens": 234,
            "runs": 1,
            "unpricedRuns": 0,
        }


def test_a_budget_is_a_line() -> None:
    names = ("Tokens", "MicroUsd")
    budget = {
        **{"scope": "coordination", "per": "day"},
        **{f"{kind}{name}": None for kind in ("limit", "spent", "reserved") for name in names},
        **{"limitMicroUsd": 2_000_000.0, "spentMicroUsd": 1_500_000.0, "reservedMicroUsd": 2_500.0},
    }
    assert budget_line(budget) == (
        "budget of the coordination for this UTC day: 1.50 USD of 2.00 USD spent,"
        " 0.002500 USD reserved"
    )
    tokens = {"per": "total", "limitTokens": 10_000.0, "spentTokens": 7.0, "reservedTokens": 251.0}
    assert budget_line({**budget, **tokens, "limitMicroUsd": None}) == (
        "budget of the coordination in total: 7 of 10,000 tokens spent, 251 reserved"
    )


def test_days_without_costs_say_so(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ace(url, capsys, "costs", "--from", "2020-01-01", "--to", "2020-01-02")
    assert out == "No agent has used a model from 2020-01-01 to 2020-01-02.\n"


def test_a_session_ends_with_its_cost(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    out, _ = ace(url, capsys, "show", "s-1")
    assert out.splitlines()[-1] == "1,234 tokens · 0.000290 USD"
    _, err = ace(url, capsys, "watch", "s-1")
    assert err.splitlines()[-1] == "1,234 tokens · 0.000290 USD"
