"""A session whose agents are too many for one answer is read in pages, and watched by asking."""

import json
from typing import Any

import httpx
import pytest

from ai_coordination_engine.client import Client, Retries, SessionView, TooComplex
from ai_coordination_engine.client.records import Session, SessionAgent

NOW = "2026-11-26T12:00:00+00:00"
TEXTS = {"id", "status", "state", "partition_key", "endpoint_id"}


def record(of_type: type[Session | SessionAgent], **values: object) -> dict[str, Any]:
    """Return a record as the API answers it: what is not given is null, a text or a time."""
    fields: dict[str, Any] = {}
    for name, field in of_type.model_fields.items():
        is_text = name in TEXTS or name.endswith("_uuid")
        given = NOW if name in ("created_at", "updated_at") else "x" if is_text else None
        fields[str(field.alias)] = values.get(name, given)
    return fields


def refused(code: str) -> dict[str, Any]:
    return {"data": None, "errors": [{"message": code, "extensions": {"code": code}}]}


class Large:
    """A server with a session of 7 agents, of which at most `most` fit an answer."""

    def __init__(self, most: int, statuses: list[str]) -> None:
        self.most, self.statuses = most, statuses
        self.limits: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.headers["accept"] == "text/event-stream":
            return httpx.Response(200, json=refused("TOO_COMPLEX"))
        sent = json.loads(request.content)
        return httpx.Response(200, json=self.answer(sent["query"], sent["variables"]))

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "sessionView" in query:
            return refused("TOO_COMPLEX")
        if "sessionAgentList" not in query:
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
            return {"data": {"session": record(Session, status=status)}}
        self.limits.append(limit := variables["limit"])
        if limit > self.most:
            return refused("TOO_COMPLEX")
        first = int(variables.get("cursor", 0))
        page = range(first, min(first + limit, 7))
        rows = [record(SessionAgent, session_agent_uuid=str(each)) for each in page]
        cursor = str(page.stop) if page.stop < 7 else None
        return {"data": {"sessionAgentList": {"records": rows, "nextCursor": cursor}}}


def client_of(server: Large) -> Client:
    return Client("http://h", transport=httpx.MockTransport(server), retries=Retries(first=0))


def uuids(view: SessionView) -> list[str]:
    return [each.session_agent_uuid for each in view.session_agents]


@pytest.mark.parametrize(
    ("most", "limits"),
    [
        (1000, [1000]),
        (250, [1000, 250]),
        (3, [1000, 250, 62, 15, 3, 3, 3]),
        (1, [1000, 250, 62, 15, 3, *[1] * 7]),
    ],
)
def test_the_pages_shrink_until_they_fit(most: int, limits: list[int]) -> None:
    server = Large(most, ["failed"])
    with client_of(server) as client:
        view = client.session("c", "s")
    assert (uuids(view), server.limits) == ([*"0123456"], limits)
    assert (view.status, view.has_ended) == ("failed", True)


def test_an_agent_that_fits_no_answer_is_an_error() -> None:
    with client_of(Large(0, ["failed"])) as client, pytest.raises(TooComplex):
        client.session("c", "s")


def test_it_is_watched_by_asking_and_only_changes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ai_coordination_engine.client.sync_client._POLL_SECONDS", 0.001)
    server = Large(1000, ["dispatched", "dispatched", "in_progress", "in_progress", "completed"])
    with client_of(server) as client:
        assert [view.status for view in client.watch("c", "s")] == [
            *("dispatched", "in_progress", "completed")
        ]
    assert len(server.limits) == 5
