"""Random operations on a queue, and the model that says what each may answer (promise P11)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from hypothesis import strategies as st

from ai_coordination_engine.ports import QueueMessage, Wake

HIDDEN, MOST, DEAD_HIDDEN = 60, 3, 120
TENANTS = ["b", "a", "Z", "ü", "a#eu"]
LONGEST_DELAY, LONGEST_WAIT = 900, 43_200


class Consumed(Protocol):
    """A queue and its consumers' side."""

    def send(self, messages: Sequence[QueueMessage], *, delay: float = 0) -> None: ...
    def dead_letter(self, wake: Wake) -> None: ...
    def read(self, body: str) -> QueueMessage: ...
    def receive(self, most: int, *, wait: bool = True) -> list[Any]: ...
    def postpone(self, receipt: str, seconds: float) -> None: ...
    def finish(self, receipt: str, most: int) -> list[Any]: ...


class Letters(Protocol):
    """Its dead letters."""

    def receive_dead(self, most: int, hidden_seconds: float) -> list[Any]: ...
    def postpone(self, receipt: str, seconds: float) -> None: ...
    def delete(self, receipt: str) -> None: ...


@dataclass
class Message:
    """What the model knows of a message; `is_dead` is None when only a look at the queue tells."""

    number: int
    tenant: str
    visible_at: float
    received: int = 0
    receipt: str | None = None
    is_dead: bool | None = False


@dataclass
class Conversation:
    """Makes each operation on a queue and checks its answer.

    With `is_exact`, receipts count only until the next delivery, tenants take turns, and a tenant's
    messages come in the order in which they became visible. SQS leaves this open.
    """

    queue: Consumed
    letters: Letters
    pass_time: Callable[[float], None]
    is_exact: bool
    now: float = 0.0
    sent: int = 0
    messages: dict[int, Message] = field(default_factory=dict)
    old_receipts: list[str] = field(default_factory=list)
    served_since: dict[str, set[str]] = field(default_factory=dict)
    """By tenant that waits: the others that have been served meanwhile."""

    def advance(self, seconds: float) -> None:
        seconds += 0.001  # two operations are never at the same time
        self.pass_time(seconds)
        self.now += seconds

    def send(self, tenants: Sequence[str], delay: int) -> None:
        wakes = [self._wake(tenant) for tenant in tenants]
        self.queue.send(wakes, delay=delay)
        for wake in wakes:
            visible_at = self.now + min(max(delay, 0), LONGEST_DELAY)
            self._add(Message(int(wake.session_uuid), wake.tenant, visible_at))

    def dead_letter(self, tenant: str) -> None:
        wake = self._wake(tenant)
        self.queue.dead_letter(wake)
        self._add(Message(int(wake.session_uuid), tenant, self.now, is_dead=True))

    def receive(self, most: int) -> None:
        self._check_received(self.queue.receive(most, wait=False), most)

    def _check_received(self, got: Sequence[Any], most: int) -> None:
        ready = {each.number: each for each in self._visible() if each.received < MOST}
        assert len(got) == min(most, len(ready))
        for each in got:
            message = self._known(each)
            assert each["Attributes"]["ApproximateReceiveCount"] == str(message.received + 1)
            if self.is_exact:
                self._check_turn(message, list(ready.values()))
            del ready[message.number]
            message.received += 1
            self._hold(message, each["ReceiptHandle"], HIDDEN)
        for message in self._visible():
            if message.received >= MOST:
                self._become_dead(message, is_sure=len(got) < most)

    def receive_dead(self, most: int) -> None:
        visible = [each for each in self.messages.values() if each.visible_at <= self.now]
        dead = [each.number for each in visible if each.is_dead]
        raw = self.letters.receive_dead(most, DEAD_HIDDEN)
        got = [self._known(each) for each in raw]
        numbers = [each.number for each in got]
        assert len(set(numbers)) == len(got) <= most
        assert len(got) == most or set(dead) <= set(numbers)
        assert all(each.is_dead in (True, None) and each.visible_at <= self.now for each in got)
        assert not self.is_exact or numbers == sorted(numbers)
        for message, each in zip(got, raw, strict=True):
            self._become_dead(message, is_sure=True)
            self._hold(message, each["ReceiptHandle"], DEAD_HIDDEN)

    def finish(self, choice: int, most: int) -> None:
        """Delete a message, and receive others if the home does that in one request."""
        if message := self._chosen(choice):
            assert message.receipt
            del self.messages[message.number]
            if message.is_dead:
                self.letters.delete(message.receipt)
            else:
                got = self.queue.finish(message.receipt, most)
                self._check_received(got, most if self.is_exact else 0)

    def postpone(self, choice: int, seconds: int) -> None:
        if message := self._chosen(choice):
            assert message.receipt
            (self.letters if message.is_dead else self.queue).postpone(message.receipt, seconds)
            message.visible_at = self.now + min(max(seconds, 0), LONGEST_WAIT)

    def use_old_receipt(self, choice: int, seconds: int | None) -> None:
        """Whoever held a message before does nothing to it."""
        if self.is_exact and self.old_receipts:
            receipt = self.old_receipts[choice % len(self.old_receipts)]
            if seconds is None:
                self.queue.finish(receipt, 0)
            else:
                self.queue.postpone(receipt, seconds)

    def end(self) -> None:
        """What was neither deleted nor delivered too often is delivered until it is dead."""
        for _ in range(MOST + 1):
            self.advance(LONGEST_WAIT)
            while [each for each in self._visible() if each.received < MOST]:
                self.receive(10)
            self.receive(10)
        assert all(each.is_dead for each in self.messages.values())
        while [each for each in self.messages.values() if each.visible_at <= self.now]:
            self.receive_dead(10)
        self.receive_dead(10)

    # The model

    def _wake(self, tenant: str) -> Wake:
        self.sent += 1
        return Wake(tenant, str(self.sent), "a")

    def _add(self, message: Message) -> None:
        self.messages[message.number] = message

    def _known(self, raw: Any) -> Message:
        wake = self.queue.read(raw["Body"])
        assert isinstance(wake, Wake)
        message = self.messages[int(wake.session_uuid)]
        assert message.tenant == wake.tenant
        return message

    def _visible(self) -> list[Message]:
        """What a receiver may find, or makes a dead letter."""
        return [
            each
            for each in self.messages.values()
            if not each.is_dead and each.visible_at <= self.now
        ]

    def _hold(self, message: Message, receipt: str, seconds: float) -> None:
        if message.receipt is not None:
            self.old_receipts.append(message.receipt)
        message.receipt, message.visible_at = receipt, self.now + seconds

    def _become_dead(self, message: Message, *, is_sure: bool) -> None:
        """The receipt of its last delivery counts no longer."""
        if not message.is_dead:
            message.is_dead = True if is_sure else None
            if message.receipt is not None and is_sure:
                self.old_receipts.append(message.receipt)
            message.receipt = None

    def _chosen(self, choice: int) -> Message | None:
        """A message whose receipt counts; SQS leaves open what one does when its time is over."""
        usable = [
            each
            for each in self.messages.values()
            if each.receipt is not None and (each.visible_at > self.now or self.is_exact)
        ]
        return usable[choice % len(usable)] if usable else None

    def _check_turn(self, message: Message, ready: Sequence[Message]) -> None:
        """While a tenant waits, each other one is served once at most."""
        waiting = {each.tenant for each in ready}
        for tenant in waiting - {message.tenant}:
            served = self.served_since.setdefault(tenant, set())
            assert message.tenant not in served, f"{tenant} waits longer than for all others"
            served.add(message.tenant)
        self.served_since = {
            tenant: served
            for tenant, served in self.served_since.items()
            if tenant in waiting and tenant != message.tenant
        }
        of_tenant = [(each.visible_at, each.number) for each in ready]
        first = min(
            place
            for place, each in zip(of_tenant, ready, strict=True)
            if each.tenant == message.tenant
        )
        assert (message.visible_at, message.number) == first


Operation = Callable[[Conversation], None]


def _named(name: str, *arguments: Any) -> Operation:
    def call(conversation: Conversation) -> None:
        getattr(conversation, name)(*arguments)

    call.__qualname__ = f"{name}{arguments}"
    return call


def operations() -> st.SearchStrategy[Operation]:
    """Draw an operation."""
    choice, most = st.integers(0, 50), st.integers(1, 10)
    tenants = st.sampled_from(TENANTS)
    seconds = st.sampled_from([0, 1, 30, 59, 60, 119, 1000])

    def made(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Operation]:
        return st.builds(lambda *given: _named(name, *given), *arguments)

    sends = made(
        "send", st.lists(tenants, max_size=12), st.sampled_from([0, 0, 0, -5, 1, 30, 5000])
    )
    return st.one_of(
        sends,
        sends,
        made("receive", most),
        made("receive", most),
        made("advance", seconds),
        made("advance", seconds),
        made("finish", choice, st.integers(0, 3)),
        made("postpone", choice, seconds),
        made("use_old_receipt", choice, st.none() | seconds),
        made("dead_letter", tenants),
        made("receive_dead", most),
    )
