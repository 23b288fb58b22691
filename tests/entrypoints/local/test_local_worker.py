"""The local worker deletes or returns every message exactly once, whatever its step does."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from ai_coordination_engine.engine.step import Busy
from ai_coordination_engine.entrypoints.local import local_worker
from ai_coordination_engine.entrypoints.local.load import Load
from ai_coordination_engine.entrypoints.local.local_worker import LocalWorker, NotifyingQueue
from ai_coordination_engine.errors import BadUserInput, FileUnusable, Throttled
from ai_coordination_engine.ports import Wake

Each = Callable[[dict[str, Any]], None] | None


class FakeMessages:
    """Hands out messages and records what happens to them; a body says what its step does."""

    def __init__(self, *bodies: str, received: int = 3, gives_next: bool = False) -> None:
        self.gives_next = gives_next
        attributes = {"ApproximateReceiveCount": str(received)}
        self._waiting = [
            {
                "Body": body,
                "MessageId": f"m-{body}",
                "ReceiptHandle": body,
                "Attributes": attributes,
            }
            for body in bodies
        ]
        self._changed = threading.Condition()
        self.asked: list[int] = []
        self.received: list[str] = []  # not with a deletion
        self.settled: dict[str, float | None] = {}
        self.sent: list[tuple[str, float]] = []

    def receive(self, most: int, *, wait: bool = True, each: Each = None) -> list[dict[str, Any]]:
        with self._changed:
            self.asked.append(most)
            self._changed.wait_for(lambda: self._waiting, timeout=0.01 if wait else 0)
            taken, self._waiting = self._waiting[:most], self._waiting[most:]
            self.received += [each["Body"] for each in taken]
            return taken

    def read(self, body: str) -> Wake:
        if body == "poison":
            raise BadUserInput("no wake-up")
        return Wake("local", "s", body)

    def send(self, wakes: Sequence[Wake], *, delay: float = 0) -> None:
        self.sent += [(wake.session_agent_uuid, delay) for wake in wakes]

    def postpone(self, receipt: str, seconds: float) -> None:
        self._dispatch(receipt, seconds)

    def interrupt(self) -> None:
        pass

    def finish(self, receipt: str, most: int) -> list[dict[str, Any]]:
        self._dispatch(receipt, None)
        if not self.gives_next or not most:
            return []
        with self._changed:
            taken, self._waiting = self._waiting[:most], self._waiting[most:]
            return taken

    def wait_for_settled(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.settled) == count, timeout=60)

    def _dispatch(self, receipt: str, seconds: float | None) -> None:
        with self._changed:
            assert receipt not in self.settled
            self.settled[receipt] = seconds
            self._changed.notify_all()


def poison(wake: Wake, reason: str) -> None:
    raise AssertionError("nothing is given up after three receipts")


def step(wake: Wake) -> None:
    if wake.session_agent_uuid == "busy":
        raise Busy(7)
    if wake.session_agent_uuid == "broken":
        raise RuntimeError("step broke")


@pytest.mark.parametrize(
    ("body", "expected"), [("good", None), ("busy", None), ("broken", 8.0), ("poison", 0)]
)
def test_a_message_is_deleted_or_postponed(body: str, expected: float | None) -> None:
    messages = FakeMessages(body)
    worker = LocalWorker(step, messages, Load(2), poison)
    worker.start()
    messages.wait_for_settled(1)
    assert worker.stop(grace=60)
    assert messages.settled == {body: expected}
    assert messages.sent == ([("busy", 7)] if body == "busy" else [])


def test_a_message_that_fails_for_the_last_time_is_given_up() -> None:
    messages, given_up = FakeMessages("broken", received=10), []
    worker = LocalWorker(
        step, messages, Load(1), lambda wake, reason: given_up.append((wake, reason))
    )
    worker.start()
    messages.wait_for_settled(1)
    assert worker.stop(grace=60)
    assert messages.settled == {"broken": 0}
    assert given_up == [
        (Wake("local", "s", "broken"), "RuntimeError (message m-broken); the log has the rest")
    ]


def test_only_what_can_be_received_at_once_rings() -> None:
    notified, sent = threading.Event(), []

    class Sent:
        def send(self, wakes: Sequence[Wake], *, delay: float = 0) -> None:
            sent.append((list(wakes), delay))

    wake = Wake("local", "s", "a")
    NotifyingQueue(Sent(), notified).send([wake], delay=3)
    NotifyingQueue(Sent(), notified).send([])
    assert not notified.is_set()
    NotifyingQueue(Sent(), notified).send([wake])
    assert notified.is_set()
    assert sent == [([wake], 3), ([], 0), ([wake], 0)]


def test_no_more_is_received_than_can_run() -> None:
    messages = FakeMessages(*(str(number) for number in range(10)))
    may_end, running, most = threading.Event(), [], []
    begun = threading.Semaphore(0)

    def slow(wake: Wake) -> None:
        running.append(wake)
        most.append(len(running))
        begun.release()
        may_end.wait(60)
        running.remove(wake)

    worker = LocalWorker(slow, messages, Load(3), poison)
    worker.start()
    for _ in range(3):
        assert begun.acquire(timeout=60)
    assert not worker.stop(grace=0.1)
    may_end.set()
    assert worker.stop(grace=60)
    assert max(messages.asked) == 3
    assert max(most) == 3
    assert len(messages.settled) == 3


def test_a_step_that_outlives_the_grace_is_abandoned() -> None:
    messages, begun, never = FakeMessages("slow"), threading.Event(), threading.Event()

    def slow(wake: Wake) -> None:
        begun.set()
        never.wait(60)

    worker = LocalWorker(slow, messages, Load(1), poison)
    worker.start()
    assert begun.wait(60)
    assert not worker.stop(grace=0.01)
    assert messages.settled == {}
    never.set()


def test_what_this_process_sends_is_taken_while_the_long_poll_still_waits() -> None:
    notified, unheard = threading.Event(), threading.Event()

    class DeafMessages(FakeMessages):
        """A queue whose long poll never notices a message."""

        def receive(
            self, most: int, *, wait: bool = True, each: Each = None
        ) -> list[dict[str, Any]]:
            if wait:
                unheard.wait(60)
                return []
            return super().receive(most, wait=False)

    class Sent:
        def send(self, wakes: Any, *, delay: float = 0) -> None:
            assert list(wakes) == [Wake("local", "s", "good")]

    messages = DeafMessages("good")
    worker = LocalWorker(step, messages, Load(1), poison, notified=notified)
    worker.start()
    NotifyingQueue(Sent(), notified).send([Wake("local", "s", "good")])
    messages.wait_for_settled(1)
    unheard.set()
    assert worker.stop(grace=60)
    assert messages.settled == {"good": None}


class UnusableMessages(FakeMessages):
    """Fails as a damaged file does, where it is told to."""

    def __init__(self, *bodies: str, fails: str) -> None:
        super().__init__(*bodies)
        self._fails = fails

    def receive(self, most: int, *, wait: bool = True, each: Each = None) -> list[dict[str, Any]]:
        found = super().receive(most, wait=wait)
        if self._fails == "receive":
            raise FileUnusable("it is damaged")
        return found

    def _dispatch(self, receipt: str, seconds: float | None) -> None:
        raise FileUnusable("it is damaged")


def unusable(wake: Wake) -> None:
    raise FileUnusable("it is damaged")


@pytest.mark.parametrize("fails", ["receive", "step", "delete"])
def test_a_worker_whose_state_is_unusable_says_nothing_and_looks_no_more(
    fails: str, caplog: pytest.LogCaptureFixture
) -> None:
    stopping = threading.Event()
    messages = UnusableMessages("good", fails=fails)
    run = unusable if fails == "step" else step
    worker = LocalWorker(run, messages, Load(2), poison, stopping=stopping)
    worker.start()
    assert stopping.wait(10)
    assert worker.stop(10)
    assert caplog.records == []


def test_a_thread_goes_on_with_the_message_that_it_gets_with_the_deletion() -> None:
    messages = FakeMessages(*(str(number) for number in range(20)), gives_next=True)
    threads = set()

    def note(wake: Wake) -> None:
        threads.add(threading.get_ident())

    worker = LocalWorker(note, messages, Load(1), poison)
    worker.start()
    messages.wait_for_settled(20)
    assert worker.stop(grace=60)
    assert set(messages.settled.values()) == {None}
    assert (messages.received, len(threads)) == (["0"], 1)


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_step_that_raises_anything_does_not_hold_its_place(kind: type[BaseException]) -> None:
    def fail(wake: Wake) -> None:
        if wake.session_agent_uuid != "good":
            raise kind

    messages = FakeMessages("1", "2", "3", "good")
    worker = LocalWorker(fail, messages, Load(1), poison)
    worker.start()
    messages.wait_for_settled(1)
    assert worker.stop(grace=60)
    assert messages.settled == {"good": None}


@pytest.mark.parametrize("stops", [False, True])
def test_a_message_waits_for_a_thread_where_the_system_has_none(
    stops: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start, has_threads, tried = threading.Thread.start, threading.Event(), threading.Event()

    def refuse(thread: threading.Thread) -> None:
        if thread.name == "ace-step" and not has_threads.is_set():
            tried.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(local_worker, "PAUSE_AFTER_ERROR", 0.02)
    messages = FakeMessages("good")
    worker = LocalWorker(step, messages, Load(2), poison)
    worker.start()
    assert tried.wait(60)
    if stops:
        assert not worker.stop(grace=0.1), "its message is not done"
        assert messages.settled == {}
    else:
        has_threads.set()
        messages.wait_for_settled(1)
        assert worker.stop(grace=60)
    assert {each.getMessage()[:20] for each in caplog.records} == {"no thread can be sta"}


def test_a_worker_that_stops_takes_no_message_with_a_deletion() -> None:
    messages = FakeMessages("good", "later", gives_next=True)
    worker = LocalWorker(lambda wake: worker._stopping.set(), messages, Load(1), poison)
    worker.start()
    messages.wait_for_settled(1)
    assert worker.stop(grace=60)
    assert messages.settled == {"good": None}


def test_a_message_that_comes_while_a_worker_stops_is_returned_before_the_end() -> None:
    class LateMessages(FakeMessages):
        interrupted = threading.Event()

        def receive(
            self, most: int, *, wait: bool = True, each: Each = None
        ) -> list[dict[str, Any]]:
            self.interrupted.wait(60)
            threading.Event().wait(0.05)  # the commit that takes the message
            return super().receive(most, wait=False)

        def interrupt(self) -> None:
            self.interrupted.set()

    messages = LateMessages("late")
    worker = LocalWorker(step, messages, Load(1), poison)
    worker.start()
    assert worker.stop(grace=60)
    assert messages.settled == {"late": 0}


def test_a_queue_that_is_throttled_is_asked_again_and_reported_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(local_worker, "PAUSE_AFTER_ERROR", 0)
    again = threading.Event()

    class Refusing(FakeMessages):
        refused = False

        def receive(
            self, most: int, *, wait: bool = True, each: Each = None
        ) -> list[dict[str, Any]]:
            if self.refused:
                again.set()
                worker._stopping.set()
                return []
            self.refused = True
            raise Throttled("another process writes")

    worker = LocalWorker(lambda _: None, Refusing(), Load(1), lambda *_: None)
    worker.start()
    assert again.wait(10)
    assert worker.stop(5)
    (said,) = caplog.records
    assert (said.levelname, said.message, said.exc_info) == ("WARNING", "could not receive", None)
    assert vars(said)["reason"] == "another process writes"
