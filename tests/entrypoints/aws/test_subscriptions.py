"""Subscriptions on AWS: the functions of the WebSocket API and of the table streams together, on
the events that API Gateway, the streams and the queue send.
"""

from typing import Any

import pytest

from ai_coordination_engine.store.connections import LONGEST_SECONDS
from tests.kit.sockets import (
    ACK,
    INBOX,
    LIST,
    SESSION,
    TABLE,
    Home,
    authenticated,
    counting,
    kinds,
    started,
    stored,
    subscribe,
    token,
)

DELETE = 'mutation { deleteCoordination(coordinationUuid: "c") { ok } }'


# Connecting


def test_connecting_answers_the_subprotocol_or_is_refused(home: Home) -> None:
    assert home.connect() == {
        "statusCode": 200,
        "headers": {"Sec-WebSocket-Protocol": "graphql-transport-ws"},
    }
    for offered in ({}, {"Sec-WebSocket-Protocol": "graphql-ws"}):
        assert home.event("c2", "$connect", headers=offered) == {"statusCode": 400}
    several = {"sec-websocket-protocol": "other, graphql-transport-ws"}
    assert home.event("c3", "$connect", headers=several)["statusCode"] == 200
    assert [each for _, each in stored(home)] == ["c1", "c3"]


def test_connection_that_does_not_authenticate_is_deleted_after_10_seconds(home: Home) -> None:
    home.connect("c1")
    authenticated(home, "c2")
    assert [(message.connection, delay) for message, delay in home.reminders.sent] == [
        ("c1", 10.0),
        ("c2", 10.0),
    ]
    assert home.remind() == []
    assert home.sockets.gone == {"c1"}
    assert [each for _, each in stored(home)] == ["c2"]


def test_the_token_is_checked_by_the_http_api_for_the_tenant_that_is_named(home: Home) -> None:
    home.connect()
    sent = token(tenant="acme#*", exp=1_800_000_000)
    payload = {"authorization": f"bearer {sent}", "endpointId": "acme", "Part-Id": "eu"}
    assert home.send({"type": "connection_init", "payload": payload}) == [ACK]
    assert home.asked == [
        ("/acme/graphql", {"authorization": f"Bearer {sent}", "part-id": "eu"}),
    ]
    connection = home.connections.get("c1")
    assert connection is not None
    assert (connection.partition_key, connection.token_until) == ("acme#eu", 1_800_000_000)
    assert sent not in str(home.database.tables[TABLE].items)


@pytest.mark.parametrize(
    ("status", "payload", "code"),
    [
        (401, {"authorization": token(tenant="acme")}, 4401),
        (403, {"authorization": token(tenant="acme")}, 4403),
        (200, {}, 4401),
        (200, None, 4401),
        (200, {"authorization": "Basic YTpi"}, 4401),
        (200, {"authorization": "Bearer a\r\nb.c.d"}, 4401),
        (200, {"authorization": "Bearer e30.!!!!.c"}, 4401),
        (200, {"authorization": "Bearer e30.e3.c"}, 4401),
        (200, {"authorization": token(tenant="other"), "endpointId": "acme"}, 4403),
        (200, {"authorization": token(tenant=["a", "b"])}, 4403),
        (200, {"authorization": token(tenant="acme"), "endpointId": "a#b"}, 4400),
        (200, {"authorization": token(tenant="acme"), "partId": "ü"}, 4400),
        (200, {"authorization": 7}, 4400),
    ],
)
def test_refused_credentials_are_told_and_the_connection_is_closed(
    home: Home, status: int, payload: Any, code: int
) -> None:
    home.connect()
    home.status = status
    told, ended = home.send({"type": "connection_init", "payload": payload})
    assert (told["type"], told["payload"]["code"]) == ("ping", code)
    assert ended == {"message": told["payload"]["reason"], "code": code}
    assert (home.sockets.gone, stored(home)) == ({"c1"}, [])


def test_a_second_init_and_a_subscription_before_the_first_close_the_connection(
    home: Home,
) -> None:
    authenticated(home)
    told, _ = home.send({"type": "connection_init"})
    assert told["payload"]["code"] == 4429
    home.connect("c2")
    told, _ = subscribe(home, INBOX, "c2")
    assert told["payload"]["code"] == 4401
    assert home.sockets.gone == {"c1", "c2"}
    assert stored(home) == []


def test_iam_principals_have_the_tenants_of_the_settings(home: Home) -> None:
    home.reset(auth="iam", iam_tenants={"arn:aws:iam::1:role/caller": ["acme"]})
    home.connect("c1", identity={"userArn": "arn:aws:sts::1:assumed-role/caller/s"})
    assert home.send({"type": "connection_init"}, "c1") == [ACK]
    home.connect("c2", identity={"userArn": "arn:aws:iam::1:role/other"})
    home.connect("c3")
    codes = [
        home.send({"type": "connection_init"}, each)[0]["payload"]["code"] for each in ("c2", "c3")
    ]
    assert codes == [4403, 4401]
    assert home.asked == []


def test_pings_are_answered_without_a_call_to_the_database(home: Home) -> None:
    authenticated(home)
    with counting(home) as counted:
        assert home.send({"type": "ping", "payload": {"n": 1}}) == [
            {"type": "pong", "payload": {"n": 1}}
        ]
        assert home.send({"type": "pong"}) == []
    assert counted == {}


@pytest.mark.parametrize("text", ["{", "[]", '{"type": "start"}', '{"type": "complete"}', ""])
def test_invalid_messages_close_the_connection(home: Home, text: str) -> None:
    authenticated(home)
    told, _ = home.send(text)
    assert told["payload"]["code"] == 4400
    assert home.sockets.gone == {"c1"}


# Watching


def test_a_session_is_seen_at_once_and_moves_to_its_end(home: Home) -> None:
    authenticated(home)
    session = started(home)
    home.push()
    (first,) = subscribe(home, SESSION, **session)
    assert first["payload"]["data"]["session"]["status"] == "dispatched"
    home.worker.drain()
    home.push()
    messages = home.received()[2:]
    assert kinds(messages) == ["next", "complete"]
    seen = messages[0]["payload"]["data"]["session"]
    assert (seen["status"], [each["state"] for each in seen["sessionAgents"]]) == (
        "completed",
        ["completed", "completed"],
    )
    assert home.push() == home.remind() == []
    assert home.received()[2:] == messages
    assert [each for _, each in stored(home)] == ["c1"]
    connection = home.connections.get("c1")
    assert connection is not None
    assert connection.subscriptions is None


def test_a_session_that_has_ended_is_answered_and_completed(home: Home) -> None:
    authenticated(home)
    session = started(home)
    home.worker.drain()
    assert kinds(subscribe(home, SESSION, **session)) == ["next", "complete"]


def test_lists_and_the_inbox_of_the_tenant_alone_are_seen(home: Home) -> None:
    authenticated(home)
    authenticated(home, "c2", "other")
    home.push()
    for connection in ("c1", "c2"):
        subscribe(home, LIST % '["failed", "in_progress"]', connection)
        subscribe(home, INBOX, connection, "2")
    started(home, userInTheLoop="ann")
    home.worker.drain()
    home.push()
    home.remind()
    (waiting,) = home.latest(operation="2")["userInbox"]["sessionAgentList"]
    assert waiting["sessionAgentUuid"]
    assert kinds(home.received("c2")) == ["connection_ack", "next", "next"]


def test_the_same_state_is_not_sent_again(home: Home) -> None:
    authenticated(home)
    subscribe(home, LIST % '["failed"]')
    started(home)
    records = home.changes()
    assert home.push(records) == home.push(records) == []
    assert kinds(home.received()) == ["connection_ack", "next"]


def test_each_distinct_operation_is_executed_once_and_each_watcher_gets_one_post(
    home: Home,
) -> None:
    session = started(home)
    home.push()
    for number in range(4):
        authenticated(home, f"c{number}")
        subscribe(home, SESSION, f"c{number}", **session)
    home.remind()
    home.worker.drain()
    records = home.changes()
    posted = len(home.sockets.sizes)
    with counting(home) as counted:
        home.push(records)
    assert len(home.sockets.sizes) - posted == 4 * 2  # the state, and the end
    changes = {(each["eventSourceARN"], str(each["dynamodb"]["Keys"])) for each in records}
    assert len(changes) == 3
    assert counted == {
        "Query who": 2,  # of a batch with all changes: the session's topic, and the tenant's
        "UpdateItem who": 4 + 4,  # a lease, and what is listed
        "BatchWriteItem who": 4,
        "GetItem what": 1,
        "Query what": 1,
    }


def test_a_step_makes_no_call_more_because_somebody_watches(home: Home) -> None:
    counted = []
    for watches in (False, True):
        session = started(home)
        home.push()
        if watches:
            authenticated(home)
            subscribe(home, SESSION, **session)
            subscribe(home, INBOX, operation="2")
        with counting(home) as made:
            home.worker.drain()
        counted.append(made)
    assert counted[0] == counted[1]
    assert counted[0]["UpdateItem what"] > 0


def test_a_client_that_has_gone_is_forgotten(home: Home) -> None:
    authenticated(home)
    session = started(home)
    subscribe(home, SESSION, **session)
    home.sockets.gone.add("c1")
    home.worker.drain()
    assert home.push() == []
    assert stored(home) == []


def test_a_slow_client_gets_the_newest_state_and_holds_up_nobody(home: Home) -> None:
    session = started(home)
    for connection in ("c1", "c2"):
        authenticated(home, connection)
        subscribe(home, SESSION, connection, **session)
    home.remind()
    home.push()
    home.sockets.slow.add("c1")
    home.worker.drain()
    assert home.push() == []
    assert kinds(home.received("c2"))[-1] == "complete"
    home.sockets.slow.clear()
    assert home.remind() == []
    assert kinds(home.received("c1"))[-2:] == ["next", "complete"]
    assert home.latest()["session"]["status"] == "completed"


def test_disconnecting_forgets_everything(home: Home) -> None:
    authenticated(home)
    for number in range(3):
        subscribe(home, INBOX, operation=str(number))
    assert len(stored(home)) == 4
    home.event("c1", "$disconnect")
    assert stored(home) == []
    assert home.remind() == []


def test_a_completed_operation_is_not_sent_any_more(home: Home) -> None:
    authenticated(home)
    session = started(home)
    subscribe(home, SESSION, **session)
    assert home.send({"id": "1", "type": "complete"}) == []
    home.worker.drain()
    home.push()
    assert kinds(home.received()) == ["connection_ack", "next"]
    assert [each for _, each in stored(home)] == ["c1"]


def test_an_operation_that_is_completed_before_it_begins_never_begins(home: Home) -> None:
    authenticated(home)
    assert home.send({"id": "1", "type": "complete"}) == []
    assert subscribe(home, INBOX) == []
    assert [each for _, each in stored(home)] == ["c1"]
    assert kinds(subscribe(home, INBOX)) == ["next"]  # the id is free again


def test_an_id_in_use_closes_the_connection(home: Home) -> None:
    authenticated(home)
    subscribe(home, INBOX)
    told, _ = subscribe(home, INBOX)
    assert told["payload"] == {"code": 4409, "reason": "Subscriber for 1 already exists"}
    assert stored(home) == []


def test_a_connection_has_at_most_100_subscriptions(home: Home) -> None:
    authenticated(home)
    home.send({"id": "early", "type": "complete"})
    for number in range(100):
        assert kinds(subscribe(home, INBOX, operation=str(number))) == ["next"]
    (refused,) = subscribe(home, INBOX, operation="100")
    assert refused["type"] == "error"
    assert refused["payload"][0]["extensions"] == {"code": "TOO_COMPLEX", "limit": 100}
    home.send({"id": "7", "type": "complete"})
    assert kinds(subscribe(home, INBOX, operation="100")) == ["next"]
    assert len(stored(home)) == 101


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ({"query": "subscription {"}, "BAD_USER_INPUT"),
        ({"query": "subscription { nothing }"}, "BAD_USER_INPUT"),
        ({"query": SESSION}, "BAD_USER_INPUT"),
        ({"query": f"subscription {{ {INBOX[13:-2]} }} # {'x' * 32_768}"}, "TOO_COMPLEX"),
        ({"query": DELETE}, "BAD_USER_INPUT"),
        ({"query": "query A { ping } query B { ping }"}, "BAD_USER_INPUT"),
    ],
)  # fmt: skip
def test_what_is_not_valid_is_answered_with_a_coded_error(
    home: Home, payload: Any, code: str
) -> None:
    authenticated(home)
    (refused,) = home.send({"id": "1", "type": "subscribe", "payload": payload})
    assert refused["type"] == "error"
    assert refused["payload"][0]["extensions"]["code"] == code
    assert [each for _, each in stored(home)] == ["c1"]


def test_a_query_is_answered_once(home: Home) -> None:
    authenticated(home)
    answers = subscribe(home, "{ sessionList { pageSize } }")
    assert kinds(answers) == ["next", "complete"]
    assert answers[0]["payload"] == {"data": {"sessionList": {"pageSize": 50}}}
    asked, _ = subscribe(
        home, '{ askOperationHub(coordinationUuid: "c", userQuery: "q") { runUuid } }'
    )
    (error,) = asked["payload"]["errors"]  # it has side effects
    assert error["extensions"]["code"] == "BAD_USER_INPUT"


def test_what_is_larger_than_a_message_is_answered_with_its_keys(home: Home) -> None:
    authenticated(home)
    session = started(home)
    home.api("acme").data(
        """mutation ($c: String!, $s: String!, $logs: String) { insertUpdateSession(
          coordinationUuid: $c, sessionUuid: $s, logs: $logs, updatedBy: "me") {
          session { status } } }""",
        **session,
        logs="\N{SNOWMAN}" * 50_000,
    )
    (first,) = subscribe(home, SESSION.replace("sessionUuid status", "k: sessionUuid status"),
                         **session)  # fmt: skip
    seen = first["payload"]["data"]["session"]
    agents = seen.pop("sessionAgents")
    assert seen == {"k": session["s"], "status": "dispatched", "logs": None}
    assert [{**each, "sessionAgentUuid": ""} for each in agents] == [
        {"sessionAgentUuid": "", "agentUuid": name, "state": state, "agentOutput": None}
        for name, state in (("a", "initial"), ("b", "initial"))
    ]
    assert first["payload"]["extensions"] == {"truncated": True}
    assert max(home.sockets.sizes) < 131_072


OUTPUT = """subscription ($s: String!, $a: String!) {
  agentOutput(sessionUuid: $s, sessionAgentUuid: $a) { delta done } }"""


def test_a_text_that_is_larger_than_a_message_is_left_to_a_query(home: Home) -> None:
    authenticated(home)
    session = started(home, query="\N{SNOWMAN}" * 50_000)
    subscribe(home, SESSION, **session)
    agent = home.latest()["session"]["sessionAgents"][0]["sessionAgentUuid"]
    home.worker.drain()
    found = subscribe(home, OUTPUT, operation="2", s=session["s"], a=agent)
    assert found == [
        {
            "id": "2",
            "type": "next",
            "payload": {
                "data": {"agentOutput": {"delta": "", "done": True}},
                "extensions": {"truncated": True},
            },
        },
        {"id": "2", "type": "complete"},
    ]


def test_keys_that_are_larger_than_a_message_are_left_to_a_query(home: Home) -> None:
    authenticated(home)
    session = {"c": "c", "s": '"' * 256}
    home.api("acme").data(
        """mutation ($c: String!, $s: String!) {
          insertUpdateCoordination(coordinationUuid: $c, updatedBy: "me") {
            coordination { coordinationUuid } }
          insertUpdateSession(coordinationUuid: $c, sessionUuid: $s, updatedBy: "me") {
            session { sessionUuid } } }""",
        **session,
    )
    many = " ".join(f"a{number}: sessionUuid" for number in range(450))
    document = f"""subscription ($c: String!, $s: String!) {{
      shown: session(coordinationUuid: $c, sessionUuid: $s) {{ {many} }} }}"""
    (found,) = subscribe(home, document, **session)
    assert found["payload"] == {"data": {"shown": None}, "extensions": {"truncated": True}}


def test_an_answer_to_a_query_that_is_larger_than_a_message_is_an_error(home: Home) -> None:
    authenticated(home)
    session = started(home, query="x" * 140_000)
    query = (
        "query ($s: String!, $c: String!) { session(coordinationUuid: $c, sessionUuid: $s) { %s } }"
    )
    (refused,) = subscribe(home, query % "taskQuery", **session)
    assert (refused["type"], refused["id"]) == ("error", "1")
    assert refused["payload"][0]["extensions"] == {"code": "TOO_COMPLEX", "limit": 131_072}
    assert kinds(subscribe(home, query % "status", **session)) == ["next", "complete"]
    assert home.sockets.gone == set()


def test_ids_that_no_record_has_are_watched_without_end(home: Home) -> None:
    authenticated(home)
    for number, text in enumerate(["x" * 5_000, "", " ", "\n"]):
        (found,) = subscribe(home, SESSION, operation=str(number), c="c", s=text)
        assert found["payload"] == {"data": {"session": None}}
    assert home.sockets.gone == set()


def test_completing_what_no_operation_is_called_fills_nothing(home: Home) -> None:
    authenticated(home)
    for number in range(20):
        assert home.send({"type": "complete", "id": f"{number}" + "x" * 30_000}) == []
    connection = home.connections.get("c1")
    assert connection is not None
    assert connection.subscriptions is None
    assert home.sockets.gone == set()


def test_an_expired_token_ends_its_subscriptions(home: Home) -> None:
    now = int(home.clock.now().timestamp())
    authenticated(home, exp=now + 60)
    session = started(home)
    subscribe(home, SESSION, **session)
    home.push()
    seen = len(home.received())
    home.clock.advance(61)
    home.worker.drain()
    assert home.push() == []
    assert len(home.received()) == seen
    assert home.sockets.gone == {"c1"}
    assert stored(home) == []
    authenticated(home, "c2", exp=now + 60)
    told, _ = subscribe(home, INBOX, "c2")
    assert told["payload"]["code"] == 4401


def test_items_that_have_expired_are_not_looked_at(home: Home) -> None:
    authenticated(home)
    session = started(home)
    subscribe(home, SESSION, **session)
    home.clock.advance(LONGEST_SECONDS + 1)
    home.worker.drain()
    home.push()
    assert kinds(home.received()) == ["connection_ack", "next"]
    assert all("expires_at" in item for item in home.database.tables[TABLE].items.values())
