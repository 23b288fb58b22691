"""Caches of real clients, set up as in docs/clients.md: Apollo Client and urql's graphcache."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.kit.node import needs_node

pytestmark = [pytest.mark.conformance, needs_node]
Run = Callable[..., Any]


def on_the_screen(found: Any) -> tuple[str, str]:
    """Return the first and last status of the latest session in a displayed list, without a
    refetch.
    """
    statuses = [each[0] for each in found["seen"]]
    return statuses[0], statuses[-1]


def test_apollo_keeps_one_entry_a_record_and_a_mutation_updates_them(
    url: str, work: Path, run: Run, session: str
) -> None:
    found = run(work, "apollo.mjs", url, "c", session)
    assert found["told"] == []
    records = [key for key in found["after"] if not key.startswith(("ROOT", "__META"))]
    kinds = Counter(key.partition(":")[0] for key in records)
    assert kinds == {
        "CoordinationType": 1,
        "TaskType": 1,
        "SessionType": kinds["SessionType"],
        "SessionAgentType": 2,
        "SessionRunType": 1,
    }
    assert kinds["SessionType"] >= 2
    assert all(found["after"][key]["id"] == key.partition(":")[2] for key in records)
    mine = f"SessionType:{found['id']}"
    assert (found["before"][mine]["status"], found["after"][mine]["status"]) == (
        "in_progress",
        "cancelled",
    )
    assert found["node"] == {
        **found["node"],
        "id": found["id"],
        "sessionUuid": session,
        "status": "in_progress",
    }
    assert on_the_screen(found) == ("in_progress", "cancelled")
    agents = [(each["agentName"], each["state"]) for each in found["detail"]["sessionAgents"]]
    assert (found["detail"]["status"], agents) == (
        "cancelled",
        [("Ada", "completed"), ("Bob", "cancelled")],
    )
    (completed,) = found["detail"]["sessionAgents"][0]["sessionRuns"]
    assert (completed["attempt"], completed["status"], completed["totalTokens"]) == (
        1,
        "completed",
        None,
    )


def test_graphcache_is_silent_and_a_mutation_updates_its_queries(
    url: str, work: Path, run: Run, session: str
) -> None:
    found = run(work, "graphcache.mjs", url, "c", session)
    assert found["told"] == []
    assert found["node"] == {
        **found["node"],
        "id": found["id"],
        "sessionUuid": session,
        "status": "in_progress",
    }
    assert on_the_screen(found) == ("in_progress", "cancelled")
    assert [
        each["status"] for each in found["list"]["sessionList"] if each["id"] == found["id"]
    ] == ["cancelled"]
    agents = [(each["agentName"], each["state"]) for each in found["detail"]["sessionAgents"]]
    assert (found["detail"]["status"], agents) == (
        "cancelled",
        [("Ada", "completed"), ("Bob", "cancelled")],
    )
