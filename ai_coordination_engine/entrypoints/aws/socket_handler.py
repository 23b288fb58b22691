"""Answer the events of the WebSocket API; `socket_api` calls `cold_start`.

Each message of a connection is an event of its own, and events of one connection may be processed
at the same time and in any order. All state is in the table of connections.
"""

import json
from asyncio import Runner
from collections.abc import Callable, Mapping
from typing import Any

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.live import protocol
from ai_coordination_engine.api.live.protocol import (
    Close,
    Complete,
    Init,
    Phase,
    Reply,
    Subscribe,
)
from ai_coordination_engine.api.live.subscription import (
    Subscription,
    check_size,
    errors_of,
    subscription_of,
)
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.api.transport import HttpError, run
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text, topics
from ai_coordination_engine.entrypoints.aws.sending import MESSAGE_BYTES, Sending
from ai_coordination_engine.entrypoints.aws.socket_identity import Ask, ask, identity_of
from ai_coordination_engine.errors import CoordinationError, TooComplex
from ai_coordination_engine.live_bootstrap import Live, build_live
from ai_coordination_engine.live_ports import ConnectionGone, Expire, Look
from ai_coordination_engine.observability import configure, logger
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.connections import SocketConnection, SocketWatcher, entries
from ai_coordination_engine.store.meter import ALONE
from ai_coordination_engine.store.transitions.outcome import Applied

Event = Mapping[str, Any]
Handler = Callable[[Event, object], dict[str, Any]]
SECOND_LOOK = 5
"""The seconds until a new watcher is looked at again: an index may have been behind when it was
answered first, or the function may have died.
"""
MOST_ID = 128
"""Characters of the id of an operation."""
_DONE = {"statusCode": 200}


@dataclass(frozen=True)
class SocketApi:
    """Answers the events of one WebSocket API. `asked` asks the HTTP API about tokens."""

    sending: Sending
    asked: Ask

    def handle(self, event: Event, _context: object) -> dict[str, Any]:
        """Answer one event; never raises, because API Gateway would tell the client so."""
        connection = event["requestContext"]["connectionId"]
        try:
            match event["requestContext"]["routeKey"]:
                case "$connect":
                    return self._connect(connection, event)
                case "$disconnect":
                    self._live.connections.close(connection)
                case _:
                    self._message(connection, event)
        except ConnectionGone:
            self._live.connections.close(connection)
        except Exception:
            logger.exception("could not answer", extra={"connection": connection})
            return {"statusCode": 500} if "headers" in event else self._give_up(connection)
        return _DONE

    @property
    def _live(self) -> Live:
        return self.sending.live

    def _connect(self, connection: str, event: Event) -> dict[str, Any]:
        offered = _header(event, "sec-websocket-protocol")
        if protocol.SUBPROTOCOL not in [each.strip() for each in offered.split(",")]:
            return {"statusCode": 400}
        self._live.reminders.send(Expire(connection), protocol.INIT_SECONDS)
        principal = event["requestContext"].get("identity", {}).get("userArn")
        self._live.connections.open(connection, principal)
        return {**_DONE, "headers": {"Sec-WebSocket-Protocol": protocol.SUBPROTOCOL}}

    def _message(self, connection: str, event: Event) -> None:
        text, limits = event.get("body") or "", self.sending.documents.limits
        # what needs another phase is refused by a condition, so that a ping reads nothing
        action = protocol.action_of(text, Phase.ACKNOWLEDGED, limits)
        if action is protocol.TOO_MANY_INITS:
            action = protocol.action_of(text, Phase.OPENED, limits)
        match action:
            case Close():
                self._close(connection, action)
            case Reply(text=answer):
                self._send(connection, answer)
            case Init(payload=payload):
                self._init(connection, payload)
            case Subscribe():
                self._subscribe(connection, action)
            case Complete(id=operation_id):
                self._complete(connection, operation_id)

    def _init(self, connection: str, payload: Mapping[str, Any]) -> None:
        found = self._live.connections.get(connection)
        if found is None or found.partition_key is not None:
            self._close(connection, protocol.TOO_MANY_INITS)
            return
        settings = self._live.app.settings
        try:
            named = protocol.credentials_of(payload)
            identity = identity_of(named, found.principal, settings, self.asked)
        except CoordinationError as error:
            self._close(connection, protocol.refused(error))
            return
        given = self._live.connections.authenticate(connection, identity.tenant, identity.until)
        if isinstance(given, Applied):
            self._send(connection, protocol.ACK)
        else:
            self._close(connection, protocol.TOO_MANY_INITS)

    def _subscribe(self, connection: str, asked: Subscribe) -> None:
        found = self._live.connections.get(connection)
        if found is None or not self._is_authenticated(found):
            self._close(connection, protocol.UNAUTHORIZED)
            return
        if asked.id in dict(entries(found)) and dict(entries(found))[asked.id] is not None:
            self._close(connection, protocol.exists(asked.id))
            return
        try:
            _check_size(asked)
            subscription = subscription_of(
                asked.parameters, self.sending.documents, found.partition_key
            )
        except Exception as error:
            self._send(connection, protocol.error_message(asked.id, errors_of(error)))
            return
        if subscription is None:
            self._answer_once(found, asked)
        else:
            self._watch(found, asked, subscription)

    def _is_authenticated(self, connection: SocketConnection) -> bool:
        until, now = connection.token_until, self._live.app.clock.now().timestamp()
        return connection.partition_key is not None and (until is None or until > now)

    def _answer_once(self, connection: SocketConnection, asked: Subscribe) -> None:
        """Answer a query; what changes something goes to the HTTP API."""
        context = Context(self._live.app, connection.partition_key, method="GET", budget=ALONE)
        documents = self.sending.documents

        async def executed() -> dict[str, object]:
            return await run(asked.parameters, documents, context, read_only=True)

        try:
            payload: Mapping[str, Any] = self.sending.runner.run(executed())
        except HttpError as refused:
            payload = {"errors": errors_of(refused.error)}
        if "data" not in payload:
            messages = [protocol.error_message(asked.id, payload["errors"])]
        else:
            encoded = json_text.encode(payload).encode(errors="replace").decode()
            text = protocol.next_message(asked.id, encoded)
            messages = [text, protocol.complete_message(asked.id)]
            if len(text.encode()) > MESSAGE_BYTES:
                messages = [protocol.error_message(asked.id, errors_of(_too_large()))]
        for message in messages:
            self._send(connection.watcher, message)

    def _watch(
        self, connection: SocketConnection, asked: Subscribe, subscription: Subscription
    ) -> None:
        """Begin a subscription.

        Its watcher is written before the state is read, so that no change is missed. The connection
        lists it after that: whoever ends the connection or the operation meanwhile finds it, or is
        found here.
        """
        watcher = _watcher(connection, asked, subscription)
        connections = self._live.connections
        if not connections.put(watcher):
            self._close(connection.watcher, protocol.exists(asked.id))
            return
        self._live.reminders.send(Look(*watcher.key), SECOND_LOOK)
        entered = connections.enter(watcher)
        if not isinstance(entered, Applied):
            connections.remove(watcher)
            if entered.record is not None:
                errors = errors_of(protocol.too_many_operations())
                self._send(connection.watcher, protocol.error_message(asked.id, errors))
            return
        if (asked.id, None) in entries(entered.record):  # it was completed before it began
            connections.remove(watcher)
            return
        executed = self.sending.runner.run(self.sending.execute(watcher))
        self.sending.send_claimed(watcher, executed)

    def _complete(self, connection: str, operation_id: str) -> None:
        if len(operation_id) > MOST_ID:  # no operation has it; marks must not fill the item
            return
        self._live.connections.complete(connection, operation_id)

    def _send(self, connection: str, text: str) -> None:
        self._live.sockets.send(connection, text.encode())

    def _close(self, connection: str, close: Close) -> None:
        """Close a connection for good.

        API Gateway has no close codes, and clients connect again after a close without one. So a
        ping tells code and reason, and a message in the form of API Gateway's own errors, which is
        none of the protocol, makes the client end with an error.
        """
        told = {"type": "ping", "payload": {"code": close.code, "reason": close.reason}}
        try:
            self._send(connection, json.dumps(told))
            self._send(connection, json.dumps({"message": close.reason, "code": close.code}))
        finally:
            self.sending.end(connection)

    def _give_up(self, connection: str) -> dict[str, Any]:
        """Close a connection whose message could not be answered: its client connects again."""
        try:
            self.sending.end(connection)
        except Exception:
            logger.exception("could not close", extra={"connection": connection})
        return _DONE


def _watcher(
    connection: SocketConnection, asked: Subscribe, subscription: Subscription
) -> SocketWatcher:
    (topic,) = [each for each in subscription.topics if topics.is_stored(each)]
    parameters = asked.parameters
    values: dict[str, Any] = {
        "partition_key": connection.partition_key,
        "connection": connection.watcher,
        "subscription": asked.id,
        "document": parameters.query,
        "variables": json_text.encode(dict(parameters.variables)),
        "operation_name": parameters.operation_name,
        "token_until": connection.token_until,
    }
    return SocketWatcher(
        topic, **{name: value for name, value in values.items() if value is not None}
    )


def _too_large() -> TooComplex:
    """The error for the answer to a query that is larger than a message."""
    return TooComplex(
        f"the answer has more than {MESSAGE_BYTES} bytes: ask for less, or over HTTP",
        limit=MESSAGE_BYTES,
    )


def _check_size(asked: Subscribe) -> None:
    """Raise `TooComplex` for what is too large to be stored."""
    check_size(asked.parameters)
    if len(asked.id) > MOST_ID:
        raise TooComplex(f"the id of an operation has more than {MOST_ID} characters")


def _header(event: Event, name: str) -> str:
    headers: Mapping[str, str] = event.get("headers") or {}
    return next((value for key, value in headers.items() if key.lower() == name), "")


def build_handler(live: Live, asked: Ask | None = None, runner: Runner | None = None) -> Handler:
    """Create a Lambda handler on these connections."""
    documents = Documents(SCHEMA.graphql_schema)
    sending = Sending(live, documents, runner or Runner())
    return SocketApi(sending, asked or ask(live.app.settings.http_api_url)).handle


def cold_start() -> Handler:
    """Create the handler from the environment."""
    settings = Settings()
    configure(settings.log_level)
    return build_handler(build_live(settings))
