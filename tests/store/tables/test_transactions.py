"""Writes that happen together or not at all, in both homes (promise P11)."""

from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import BadUserInput, Throttled
from ai_coordination_engine.store.models import Session, SessionAgent
from ai_coordination_engine.store.tables.table import Refused, Table

TENANT = "acme"
NEW = SessionAgent.session_agent_uuid.does_not_exist()
Homes = tuple[Table[Session], Table[SessionAgent]]


@pytest.fixture
def homes(app: App) -> Homes:
    return app.records.tables[Session], app.records.tables[SessionAgent]


def agent(name: str, **values: Any) -> SessionAgent:
    return SessionAgent("s", name, partition_key=TENANT, state="initial", **values)


def begun(homes: Homes) -> Homes:
    """A session that is open, and its first agent."""
    sessions, agents = homes
    session = Session("c", "s", partition_key=TENANT, status="dispatched")
    sessions.put(session, Session.session_uuid.does_not_exist())
    agents.put(agent("a0"), NEW)
    return homes


def write(homes: Homes, *more: Any, status: str = "dispatched", first: str = "a0") -> None:
    sessions, agents = homes
    agents.database.write_together(
        [
            agents.update_of(
                TENANT, ("s", first), [SessionAgent.state.set("completed")], agents_there()
            ),
            sessions.update_of(
                TENANT, ("c", "s"), [Session.logs.set("done")], Session.status == status
            ),
            *more,
        ]
    )


def agents_there() -> Any:
    return SessionAgent.state == "initial"


def everything(homes: Homes) -> list[Any]:
    sessions, agents = homes
    found = [sessions.get(TENANT, ("c", "s"), consistent=True)]
    found += list(agents.query_all(TENANT, "s", consistent=True))
    return [each.serialize() for each in found if each is not None]


def test_all_of_it_is_written(homes: Homes) -> None:
    sessions, agents = begun(homes)
    write(homes, *(agents.put_of(agent(f"a{number}"), NEW) for number in range(1, 99)))
    session: Any = sessions.get(TENANT, ("c", "s"), consistent=True)
    assert session.logs == "done"
    states = [each.state for each in agents.query_all(TENANT, "s", consistent=True)]
    assert states == ["completed", *["initial"] * 98]


@pytest.mark.parametrize(
    ("given", "name"),
    [({"status": "failed"}, "a1"), ({"first": "a7"}, "a1"), ({}, "a9")],
    ids=["the session", "the first agent", "one that exists"],
)
def test_nothing_is_written_when_a_condition_does_not_hold(
    homes: Homes, given: dict[str, str], name: str
) -> None:
    _, agents = begun(homes)
    agents.put(agent("a9"), NEW)
    before = everything(homes)
    with pytest.raises(Refused) as refused:
        write(homes, agents.put_of(agent(name), NEW), **given)
    assert refused.value.old is None
    assert everything(homes) == before


def test_nothing_is_written_when_an_item_is_too_large(homes: Homes) -> None:
    _, agents = begun(homes)
    before = everything(homes)
    large = agents.put_of(agent("a1", notes="x" * 420_000), NEW)
    with pytest.raises(BadUserInput, match="too large"):
        write(homes, large)
    assert everything(homes) == before


@pytest.mark.only_on("dynamodb")  # about the requests of the client of AWS
def test_a_repetition_after_a_lost_answer_counts_once(app: App) -> None:
    homes = begun((app.records.tables[Session], app.records.tables[SessionAgent]))
    client: Any = homes[0].database.client  # type: ignore[attr-defined]
    asked: list[str] = []

    def note(params: dict[str, Any], **_: Any) -> None:
        asked.append(params["ClientRequestToken"])

    client.meta.events.register("before-call.dynamodb.TransactWriteItems", note)
    write(homes)
    assert len(asked) == 1
    assert asked[0]


@pytest.mark.only_on("dynamodb")  # about the requests of the client of AWS
@pytest.mark.parametrize(
    ("codes", "error"),
    [
        (["None", "TransactionConflict"], Throttled),
        (["ThrottlingError", "None"], Throttled),
        (["ConditionalCheckFailed", "None"], Refused),
        (["ConditionalCheckFailed", "TransactionConflict"], Throttled),
    ],
)
def test_why_it_was_cancelled_is_told(app: App, codes: list[str], error: type[Exception]) -> None:
    homes = begun((app.records.tables[Session], app.records.tables[SessionAgent]))
    client: Any = homes[0].database.client  # type: ignore[attr-defined]

    def cancel(**_: Any) -> Any:
        parsed = {
            "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
            "CancellationReasons": [{"Code": each} for each in codes],
            "ResponseMetadata": {"HTTPStatusCode": 400},
        }
        return type("Answer", (), {"status_code": 400})(), parsed

    client.meta.events.register("before-call.dynamodb.TransactWriteItems", cancel)
    with pytest.raises(error):
        write(homes)
