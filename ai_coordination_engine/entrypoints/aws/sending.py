"""Execute subscriptions and send the answers to their WebSocket connections.

The functions of the WebSocket API and of the table streams share this module. Before a message is
sent, its watcher is claimed, so messages of a watcher are never sent at the same time, and never
in the wrong order. A function that dies leaves the lease, which expires; the reminder that was
sent before, or the repeated batch, then sends the present state.
"""

import asyncio
import hashlib
import json
from asyncio import Runner
from collections.abc import Mapping, Sequence
from functools import partial

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.limits import Documents
from ai_coordination_engine.api.live.protocol import (
    complete_message,
    error_message,
    next_message,
)
from ai_coordination_engine.api.live.subscription import (
    Answer,
    Subscription,
    errors_of,
    subscription_of,
)
from ai_coordination_engine.api.live.truncation import truncated
from ai_coordination_engine.api.transport import Parameters
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.errors import Throttled
from ai_coordination_engine.live_bootstrap import Live
from ai_coordination_engine.live_ports import ConnectionGone, Look
from ai_coordination_engine.observability import logger
from ai_coordination_engine.store.connections import SocketWatcher
from ai_coordination_engine.store.meter import ALONE

MESSAGE_BYTES = 131_072
"""The longest message ("Quotas for configuring and running a WebSocket API in API Gateway")."""
AT_ONCE = 8
"""Operations that are executed at the same time."""
BUSY_SECONDS = 1
REFUSED_SECONDS = 2
"""The waits before another try: others are sending to the watcher; a service refuses more work."""


@dataclass(frozen=True)
class Executed:
    """An operation and its answer. `subscription` is None if it is not valid any more."""

    subscription: Subscription | None
    answer: Answer

    def messages(self, operation_id: str) -> list[str]:
        """The messages to send to a watcher with this id."""
        if self.answer.refusal is not None:
            return [error_message(operation_id, self.answer.refusal)]
        text = next_message(operation_id, self.answer.text)
        if self.subscription is not None and len(text.encode()) > MESSAGE_BYTES:
            room = MESSAGE_BYTES - len(next_message(operation_id, "").encode())
            text = next_message(operation_id, truncated(self.subscription, self.answer, room))
        return [text, complete_message(operation_id)] if self.answer.is_last else [text]

    @property
    def is_last(self) -> bool:
        """Whether the subscription ends with this answer."""
        return self.answer.is_last or self.answer.refusal is not None


@dataclass(frozen=True)
class Sending:
    """Sends what watchers have not seen yet."""

    live: Live
    documents: Documents
    runner: Runner

    def look(self, watchers: Sequence[SocketWatcher], *, raises: bool = False) -> None:
        """Execute the operations of these watchers, each distinct one once, and send the answers to
        those whose last message was different.

        What cannot be sent now is tried again by a reminder, or with `raises`, by the caller.
        """
        current = [each for each in watchers if not self._has_expired(each, raises=raises)]
        groups: dict[tuple[str, ...], list[SocketWatcher]] = {}
        for each in current:
            groups.setdefault(_operation(each), []).append(each)
        executed = self.runner.run(self._executed([found[0] for found in groups.values()]))
        send = self._send if raises else self._send_or_remind
        calls = [
            partial(send, watcher, done)
            for found, done in zip(groups.values(), executed, strict=True)
            for watcher in found
        ]
        self.live.app.records.parallel.run(calls)

    def end(self, connection: str) -> None:
        """Close a connection and forget it."""
        self.live.sockets.close(connection)
        self.live.connections.close(connection)

    def _has_expired(self, watcher: SocketWatcher, *, raises: bool) -> bool:
        """Whether the token of its connection has expired; then the connection is closed, and the
        client connects again with a new token. What cannot be closed gets nothing, either; it is
        closed at the next look.
        """
        now = self.live.app.clock.now().timestamp()
        if watcher.token_until is None or watcher.token_until > now:
            return False
        try:
            self.end(watcher.connection)
            self.live.connections.close(watcher.connection, watcher)
        except Exception:
            if raises:
                raise
            logger.exception("could not close", extra={"connection": watcher.connection})
        return True

    async def _executed(self, watchers: Sequence[SocketWatcher]) -> list[Executed]:
        turns = asyncio.Semaphore(AT_ONCE)

        async def in_turn(watcher: SocketWatcher) -> Executed:
            async with turns:
                return await self.execute(watcher)

        return await asyncio.gather(*map(in_turn, watchers))

    async def execute(self, watcher: SocketWatcher) -> Executed:
        """Execute the operation of a watcher in a new context of its tenant."""
        variables: Mapping[str, object] = json.loads(watcher.variables or "{}")
        parameters = Parameters(watcher.document, watcher.operation_name, variables)
        tenant = watcher.partition_key
        try:
            found = subscription_of(parameters, self.documents, tenant)
            assert found is not None  # only subscriptions have watchers
        except Exception as error:  # the schema is another one since a deployment
            return Executed(None, Answer({}, refusal=errors_of(error)))
        context = Context(self.live.app, tenant, budget=ALONE, consistent=True)
        return Executed(found, await found.execute(context))

    def _send_or_remind(self, watcher: SocketWatcher, executed: Executed) -> None:
        try:
            self._send(watcher, executed)
        except Exception:  # one client must not hold up the others
            logger.exception("could not send", extra={"connection": watcher.connection})
            self._remind(watcher, REFUSED_SECONDS)

    def _send(self, watcher: SocketWatcher, executed: Executed) -> None:
        """Send the answer to a watcher unless it was the last one; raises what is not expected."""
        if watcher.lease_until is None and watcher.digest == _digest(executed):
            return
        claimed = self.live.connections.claim(watcher)
        if claimed is None:
            self._remind(watcher, BUSY_SECONDS)
        else:
            self.send_claimed(claimed, executed)

    def send_claimed(self, claimed: SocketWatcher, executed: Executed) -> None:
        """Send the answer to a watcher that this process has claimed. What is refused because of
        load is tried again by a reminder, so a client that reads slowly gets the newest state.
        """
        try:
            if executed.answer.is_passing:
                raise Throttled("The state cannot be read for now.")
            self._deliver(claimed, executed)
        except Throttled:
            self.live.connections.sent(claimed, "")
            self._remind(claimed, REFUSED_SECONDS)

    def _deliver(self, claimed: SocketWatcher, executed: Executed) -> None:
        """Send the answer, and give the lease back; a client that has gone is forgotten."""
        connection = claimed.connection
        try:
            for message in executed.messages(claimed.subscription):
                self.live.sockets.send(connection, message.encode())
        except ConnectionGone:
            self.live.connections.close(connection, claimed)
            return
        if executed.is_last:
            self.live.connections.remove(claimed)
        else:
            self.live.connections.sent(claimed, _digest(executed))

    def _remind(self, watcher: SocketWatcher, seconds: float) -> None:
        self.live.reminders.send(Look(*watcher.key), seconds)


def _operation(watcher: SocketWatcher) -> tuple[str, ...]:
    """The same for watchers whose answers are equal."""
    return (
        watcher.partition_key,
        watcher.document,
        watcher.operation_name or "",
        watcher.variables or "",
    )


def _digest(executed: Executed) -> str:
    return hashlib.sha256(executed.answer.text.encode()).hexdigest()
