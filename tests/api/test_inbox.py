"""The inbox lists everything that waits for a person, across sessions, with one Query."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from ai_coordination_engine.engine.app import App
from ai_coordination_engine.store.models import SessionAgent
from benchmarks.harness.api import Api, Calls
from tests.kit.api import data, error
from tests.kit.records import COORDINATION, SESSION, SESSION_AGENT
from tests.kit.stage import TENANT, stage_of

BEGIN = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


def park(app: App, agent: Any, tenant: str, minute: int) -> None:
    """Let the agent wait for its person since this time."""
    app.records.tables[SessionAgent].update(
        tenant,
        (agent["sessionUuid"], agent["sessionAgentUuid"]),
        [
            SessionAgent.state.set("wait_for_user_input"),
            SessionAgent.inbox.set(tenant),
            SessionAgent.waits_since.set((BEGIN + timedelta(minutes=minute)).isoformat()),
        ],
        SessionAgent.session_uuid.exists(),
    )


def waiting(api: Api, app: App, minutes: list[int], people: str = "ann", **above: Any) -> list[str]:
    """Create a waiting agent in a session of its own for each minute in `minutes`; return their
    uuids.
    """
    made = []
    coordination = above or COORDINATION.put(api, {})
    for minute in minutes:
        session = SESSION.put(api, coordination)
        agent = SESSION_AGENT.put(api, session, agentAction={"userInTheLoop": people})
        park(app, agent, api.tenant, minute)
        made.append(agent["sessionAgentUuid"])
    return made


def inbox(api: Api, **arguments: Any) -> list[str]:
    found = data(api, "userInbox", "{ sessionAgentList { sessionAgentUuid } }", **arguments)
    return [each["sessionAgentUuid"] for each in found["sessionAgentList"]]


def test_what_waits_comes_latest_first_across_sessions(api: Api, app: App) -> None:
    first, third, second = waiting(api, app, [1, 3, 2])
    assert inbox(api) == [third, second, first]


def test_a_session_that_waits_is_there_until_its_person_answers(
    app: App, api: Api, tenant: str
) -> None:
    stage = stage_of(app)
    client = Api(stage.app, api._runner, TENANT)
    started = []
    for _ in range(2):
        session = stage.start(
            stage.define({"a": "", "b": "a"}, actions={"b": {"user_in_the_loop": tenant}})
        )
        stage.drain()
        stage.clock.advance(1)
        started.append(stage.agent(session.session_uuid, "b"))
    first, second = (each.session_agent_uuid for each in started)
    assert inbox(client, userInTheLoop=tenant) == [second, first]
    key = {"sessionUuid": started[0].session_uuid, "sessionAgentUuid": first}
    assert data(client, "executeForUserInput", **key, userInput="yes") == {"ok": True}
    assert inbox(client, userInTheLoop=tenant) == [second]
    data(
        client,
        "cancelSession",
        "{ session { status } }",
        coordinationUuid=started[1].coordination_uuid,
        sessionUuid=started[1].session_uuid,
    )
    assert inbox(client, userInTheLoop=tenant) == []


def test_what_a_client_lets_wait_is_there_too(api: Api) -> None:
    session = SESSION.put(api, COORDINATION.put(api, {}))
    agent = SESSION_AGENT.put(api, session, state="wait_for_user_input")
    later = SESSION_AGENT.put(api, session)
    SESSION_AGENT.put(
        api, later, sessionAgentUuid=later["sessionAgentUuid"], state="wait_for_user_input"
    )
    assert inbox(api) == [later["sessionAgentUuid"], agent["sessionAgentUuid"]]
    SESSION_AGENT.put(api, agent, sessionAgentUuid=agent["sessionAgentUuid"], state="completed")
    assert inbox(api) == [later["sessionAgentUuid"]]


def test_the_inbox_of_nobody_is_empty(api: Api) -> None:
    found = data(api, "userInbox")
    assert found == {
        "sessionAgentList": [],
        "pageSize": 50,
        "pageNumber": 1,
        "total": 0,
        "nextCursor": None,
    }


def test_it_costs_one_query(api: Api, app: App, calls: Calls) -> None:
    waiting(api, app, [1, 2])
    calls.taken()
    assert len(inbox(api)) == 2
    assert calls.taken() == {"Query": 1}


def test_an_agent_that_has_its_answer_is_no_longer_there(api: Api, app: App) -> None:
    first, second = waiting(api, app, [1, 2])
    session = data(api, "userInbox", "{ sessionAgentList { sessionUuid } }")["sessionAgentList"][0][
        "sessionUuid"
    ]
    app.records.tables[SessionAgent].update(
        api.tenant,
        (session, second),
        [SessionAgent.inbox.remove()],
        SessionAgent.session_uuid.exists(),
    )
    assert inbox(api) == [first]


def test_another_tenant_sees_nothing(api: Api, app: App) -> None:
    waiting(api, app, [1])
    assert inbox(api.as_tenant(f"{api.tenant}-2")) == []
    assert inbox(api.as_tenant(f"{api.tenant}#part")) == []


def test_it_narrows_down_by_person_and_coordination(api: Api, app: App) -> None:
    above = COORDINATION.put(api, {})
    (of_ann,) = waiting(api, app, [1], "ann", **above)
    (of_bob,) = waiting(api, app, [2], "bob", **above)
    (elsewhere,) = waiting(api, app, [3], "ann")
    assert inbox(api, userInTheLoop="ann") == [elsewhere, of_ann]
    assert inbox(api, coordinationUuid=above["coordinationUuid"]) == [of_bob, of_ann]
    assert inbox(api, coordinationUuid=above["coordinationUuid"], userInTheLoop="ann") == [of_ann]
    assert inbox(api, userInTheLoop="eve") == []


def test_it_is_paged_by_cursor_and_by_number(api: Api, app: App) -> None:
    made = waiting(api, app, [1, 2, 3, 3, 3])  # some began to wait at the same time
    seen: list[str] = []
    cursor = None
    sizes = []
    while True:
        page = data(api, "userInbox", limit=2, **({"cursor": cursor} if cursor else {}))
        seen += [each["sessionAgentUuid"] for each in page["sessionAgentList"]]
        sizes.append(len(page["sessionAgentList"]))
        assert page["total"] == 5
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert (sizes, set(seen), len(seen)) == ([2, 2, 1], set(made), 5)
    assert seen[-2:] == [made[1], made[0]]
    assert inbox(api, limit=2, pageNumber=3) == [made[0]]


def test_a_cursor_of_another_list_is_refused(api: Api, app: App) -> None:
    waiting(api, app, [1, 2])
    cursor = data(api, "userInbox", limit=1)["nextCursor"]
    refused = error(api, "sessionAgentList", limit=1, cursor=cursor)
    assert refused == {
        "code": "BAD_USER_INPUT",
        "message": "cursor belongs to another query; start again without it.",
    }
    other = api.as_tenant(f"{api.tenant}-2")
    assert error(other, "userInbox", limit=1, cursor=cursor)["code"] == "BAD_USER_INPUT"


def test_a_limit_out_of_bounds_is_refused(api: Api) -> None:
    assert error(api, "userInbox", limit=0) == {
        "code": "BAD_USER_INPUT",
        "message": "limit must be from 1 to 1000.",
    }
