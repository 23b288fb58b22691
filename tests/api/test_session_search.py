"""Sessions across coordinations: by the beginning of their uuids, waiting for a person, counts."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.records import counts, lists, waiting
from benchmarks.harness.api import Api, Calls
from tests.kit.api import data, error, send
from tests.kit.records import COORDINATION, SESSION, SESSION_AGENT

STATUSES = ("initial", "in_progress", "active", "in_transit", "paused", "completed", "failed")
COUNTS = "{ byStatus { count } waitsForPerson { count isLowerBound } }"
NAMES = ("a1", "a1b", "a2", "b", "a1é", "A1", "a1 c")


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def below(api: Api) -> list[Mapping[str, Any]]:
    """Two coordinations."""
    return [COORDINATION.put(api, {}), COORDINATION.put(api, {})]


@pytest.fixture
def named(api: Api, below: list[Any]) -> None:
    """Sessions with the uuids `NAMES`, in turn below the two coordinations."""
    for number, name in enumerate(NAMES):
        SESSION.put(api, below[number % 2], sessionUuid=name)


def sessions(api: Api, **arguments: Any) -> list[str]:
    return [each["sessionUuid"] for each in SESSION.list(api, **arguments)]


def pages(api: Api, **arguments: Any) -> Iterator[list[str]]:
    """The pages of a list of sessions with two each, by cursor."""
    cursor: str | None = None
    while True:
        page = data(api, "sessionList", limit=2, cursor=cursor, **arguments)
        yield [each["sessionUuid"] for each in page["sessionList"]]
        cursor = page["nextCursor"]
        if cursor is None:
            return


def ask(api: Api, session: Mapping[str, Any], person: str = "ann") -> Any:
    """Let a new agent of the session wait for a person."""
    return SESSION_AGENT.put(
        api, session, state="wait_for_user_input", agentAction={"userInTheLoop": person}
    )


# By prefix


def test_a_prefix_finds_the_sessions_of_all_coordinations(api: Api, named: None) -> None:
    found = {
        prefix: sessions(api, sessionUuidPrefix=prefix)
        for prefix in ("a1", "a1b", "a1bc", "A", "a1 ", "é", "")
    }
    assert found == {
        "a1": ["a1é", "a1b", "a1 c", "a1"],
        "a1b": ["a1b"],
        "a1bc": [],
        "A": ["A1"],
        "a1 ": ["a1 c"],
        "é": [],
        "": sorted(NAMES, reverse=True),
    }


def test_a_prefix_is_paged_and_counted(api: Api, named: None, below: list[Any]) -> None:
    assert [*pages(api, sessionUuidPrefix="a")] == [["a2", "a1é"], ["a1b", "a1 c"], ["a1"]]
    assert data(api, "sessionList", "{ total }", sessionUuidPrefix="a") == {"total": 5}
    second = data(api, "sessionList", sessionUuidPrefix="a", limit=2, pageNumber=2)
    assert [each["sessionUuid"] for each in second["sessionList"]] == ["a1b", "a1 c"]
    above = below[0]["coordinationUuid"]
    assert [*pages(api, sessionUuidPrefix="a", coordinationUuid=above)] == [
        ["a2", "a1é"],
        ["a1 c", "a1"],
    ]


def test_a_prefix_is_combined_with_other_filters(api: Api, below: list[Any]) -> None:
    for uuid, status in (("x1", "failed"), ("x2", "paused"), ("y", "failed"), ("x3", "completed")):
        SESSION.put(api, below[0], sessionUuid=uuid, status=status)
    found = [
        sessions(api, sessionUuidPrefix="x", statuses=statuses)
        for statuses in (["failed"], ["failed", "completed"], ["dispatched"])
    ]
    assert found == [["x1"], ["x3", "x1"], []]


@pytest.mark.parametrize("prefix", ["\x00", "\ud800", "a\n", " a", "a" * 257, "\U0010ffff", "%"])
def test_what_no_uuid_begins_with_finds_nothing(api: Api, named: None, prefix: str) -> None:
    assert send(api, "sessionList", "{ total }", sessionUuidPrefix=prefix).get("data") == {
        "sessionList": {"total": 0}
    }


def test_a_prefix_is_one_query_and_one_read(api: Api, named: None, calls: Calls) -> None:
    calls.taken()
    assert sessions(api, sessionUuidPrefix="a1", limit=5) == ["a1é", "a1b", "a1 c", "a1"]
    assert calls.taken() == {"Query": 1, "BatchGetItem": 1}


def test_another_tenant_finds_nothing(api: Api, named: None, below: list[Any]) -> None:
    ask(api, {**below[0], "sessionUuid": "a1"})
    for other in (f"{api.tenant}-2", f"{api.tenant}#part"):
        stranger = api.as_tenant(other)
        assert sessions(stranger, sessionUuidPrefix="a1") == []
        assert sessions(stranger, waitsForPerson=True) == []
        found = data(stranger, "sessionCounts", COUNTS)
        assert {each["count"] for each in found["byStatus"]} == {0}
        assert found["waitsForPerson"] == {"count": 0, "isLowerBound": False}


def test_a_prefix_finds_agents_in_a_session_and_in_the_inbox(api: Api, below: list[Any]) -> None:
    for session in ("s1", "s2"):
        SESSION.put(api, below[0], sessionUuid=session)
        for agent in ("p1", "p2", "q"):
            key = {**below[0], "sessionUuid": session, "sessionAgentUuid": f"{agent}-{session}"}
            SESSION_AGENT.put(api, key, sessionAgentUuid=key["sessionAgentUuid"])
            SESSION_AGENT.put(
                api, key, sessionAgentUuid=key["sessionAgentUuid"], state="wait_for_user_input"
            )

    def agents(field: str, **arguments: Any) -> list[str]:
        found = data(api, field, "{ sessionAgentList { sessionAgentUuid } }", **arguments)
        return sorted(each["sessionAgentUuid"] for each in found["sessionAgentList"])

    of_s1 = agents("sessionAgentList", sessionUuid="s1", sessionAgentUuidPrefix="p")
    assert of_s1 == ["p1-s1", "p2-s1"]
    of_all = agents("sessionAgentList", sessionAgentUuidPrefix="p1")
    assert of_all == ["p1-s1", "p1-s2"]
    assert agents("userInbox", sessionAgentUuidPrefix="q") == ["q-s1", "q-s2"]
    assert agents("userInbox", sessionUuidPrefix="s2", sessionAgentUuidPrefix="p") == [
        "p1-s2",
        "p2-s2",
    ]
    assert agents("userInbox", sessionUuidPrefix="s3") == []


# Waiting for a person


def test_sessions_that_wait_for_a_person(api: Api, named: None, below: list[Any]) -> None:
    ask(api, {**below[1], "sessionUuid": "a1b"})
    first = ask(api, {**below[0], "sessionUuid": "a2"})
    second = ask(api, {**below[0], "sessionUuid": "a2"}, "bob")  # two questions, one session
    ask(api, {**below[0], "sessionUuid": "a1é"})
    assert [*pages(api, waitsForPerson=True)] == [["a2", "a1é"], ["a1b"]]
    assert sessions(api, waitsForPerson=False) == ["b", "a1 c", "a1", "A1"]
    assert sessions(api, waitsForPerson=True, sessionUuidPrefix="a1") == ["a1é", "a1b"]
    above = below[0]["coordinationUuid"]
    assert sessions(api, waitsForPerson=True, coordinationUuid=above) == ["a2", "a1é"]
    assert sessions(api, waitsForPerson=True, statuses=["failed"]) == []
    assert data(api, "sessionList", "{ total }", waitsForPerson=True) == {"total": 3}
    for agent in (first, second):
        assert "a2" in sessions(api, waitsForPerson=True)
        SESSION_AGENT.put(api, agent, sessionAgentUuid=agent["sessionAgentUuid"], state="completed")
    assert sessions(api, waitsForPerson=True) == ["a1é", "a1b"]


def test_beyond_the_bound_a_warning_says_so(
    api: Api, named: None, below: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (waiting, lists):
        monkeypatch.setattr(module, "MAX_QUESTIONS", 2)
    for name in ("a1", "a2"):
        ask(api, {**below[0], "sessionUuid": name})
    assert "extensions" not in send(api, "sessionList", waitsForPerson=True)
    ask(api, {**below[0], "sessionUuid": "a1é"})
    answered = send(api, "sessionList", "{ sessionList { sessionUuid } }", waitsForPerson=True)
    assert answered == {
        "data": {"sessionList": {"sessionList": [{"sessionUuid": "a2"}, {"sessionUuid": "a1é"}]}},
        "extensions": {
            "warnings": [
                "sessions: waitsForPerson looks at the 2 latest questions only; read userInbox for"
                " all of them"
            ]
        },
    }
    found = data(api, "sessionCounts", "{ waitsForPerson { count isLowerBound } }")
    assert found == {"waitsForPerson": {"count": 2, "isLowerBound": True}}


def test_waiting_sessions_are_one_query_and_one_read(
    api: Api, named: None, below: list[Any], calls: Calls
) -> None:
    ask(api, {**below[0], "sessionUuid": "a2"})
    calls.taken()
    assert sessions(api, waitsForPerson=True) == ["a2"]
    assert calls.taken() == {"Query": 1, "BatchGetItem": 1}


# Counts


def by_status(api: Api, **arguments: Any) -> dict[str, tuple[int, bool]]:
    found = data(api, "sessionCounts", "{ byStatus { status count isLowerBound } }", **arguments)
    return {
        each["status"]: (each["count"], each["isLowerBound"])
        for each in found["byStatus"]
        if each["count"] or each["isLowerBound"]
    }


def test_counts_by_status(api: Api, below: list[Any]) -> None:
    assert by_status(api) == {}
    for number, status in enumerate(STATUSES):
        for _ in range(number + 1):
            SESSION.put(api, below[number % 2], status=status)
    SESSION.put(api, below[0], status="dispatched")
    assert by_status(api) == {
        "initial": (1, False),
        "in_progress": (3, False),
        "active": (3, False),
        "in_transit": (4, False),
        "paused": (5, False),
        "completed": (6, False),
        "failed": (7, False),
    }
    assert by_status(api, statuses=["failed", "dispatched"]) == {
        "in_progress": (3, False),
        "failed": (7, False),
    }
    assert by_status(api, statuses=["completed"]) == {"completed": (6, False)}
    assert by_status(api, statuses=[]) == {}
    assert data(api, "sessionCounts", "{ bound }") == {"bound": counts.MAX_PER_STATUS}


def test_counts_state_their_bound(
    api: Api, below: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MAX_PER_STATUS", 3)
    for status, number in (("failed", 3), ("completed", 3)):
        for _ in range(number):
            SESSION.put(api, below[0], status=status)
    assert by_status(api) == {"failed": (3, False), "completed": (3, False)}
    SESSION.put(api, below[0], status="completed")
    assert by_status(api) == {"failed": (3, False), "completed": (3, True)}
    SESSION.put(api, below[0], status="failed")
    assert by_status(api) == {"failed": (3, True), "completed": (0, True)}
    assert by_status(api, statuses=["failed"]) == {"failed": (3, True)}


def test_an_unknown_status_is_refused(api: Api) -> None:
    assert error(api, "sessionCounts", statuses=["done"])["code"] == "BAD_USER_INPUT"
    assert error(api, "sessionCounts", statuses=[None])["code"] == "BAD_USER_INPUT"


def test_counting_costs_a_query_for_each_part_of_the_index(
    api: Api, below: list[Any], calls: Calls
) -> None:
    SESSION.put(api, below[0], status="failed")
    calls.taken()
    by_status(api, statuses=["failed"])
    assert calls.taken() == {"Query": 4}
    by_status(api)
    assert calls.taken() == {"Query": 4 * 9 + 1}
    data(api, "sessionCounts", "{ waitsForPerson { count } }")
    assert calls.taken() == {"Query": 1}
