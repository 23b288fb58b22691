import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import EndpointConnectionError

from ai_coordination_engine.adapters.sqs import body_of, message_from_body
from ai_coordination_engine.engine.app import Busy
from ai_coordination_engine.entrypoints.aws import worker, worker_handler
from ai_coordination_engine.entrypoints.aws.worker_handler import Worker
from ai_coordination_engine.entrypoints.branches import Branches, Seats
from ai_coordination_engine.entrypoints.deliveries import Deliveries
from ai_coordination_engine.errors import Throttled, Unavailable
from ai_coordination_engine.ports import Wake

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class FakeClock:
    def now(self) -> datetime:
        return NOW


class FakeContext(LambdaContext):
    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


class FakeMessages:
    """Reads bodies as SQS and records which messages were postponed and for how long."""

    def __init__(self) -> None:
        self.postponed: dict[str, float] = {}
        self.sent: list[tuple[str, float]] = []

    def read(self, body: str) -> Wake:
        return message_from_body(body)

    def postpone(self, receipt: str, seconds: float) -> None:
        self.postponed[receipt] = seconds

    def send(self, wakes: Sequence[Wake], *, delay: float = 0) -> None:
        self.sent += [(wake.session_agent_uuid, delay) for wake in wakes]


class FakePoison:
    """Records which messages were given up and why."""

    def __init__(self, error: Exception | None = None) -> None:
        self.given_up: list[tuple[str, str]] = []
        self._error = error

    def __call__(self, wake: Wake, reason: str) -> None:
        if self._error:
            raise self._error
        self.given_up.append((wake.session_agent_uuid, reason))


class BrokenMessages(FakeMessages):
    def send(self, wakes: Sequence[Wake], *, delay: float = 0) -> None:
        raise ConnectionError("no queue")

    def postpone(self, receipt: str, seconds: float) -> None:
        raise ConnectionError("no queue")


class FakeStep:
    """Records its calls; raises the exception in `outcomes` for a session agent."""

    def __init__(self, outcomes: dict[str, BaseException] | None = None) -> None:
        self.calls: list[tuple[str, float]] = []
        self._outcomes = outcomes or {}

    def __call__(self, wake: Wake, *, deadline: float, branches: Branches) -> None:
        self.calls.append((wake.session_agent_uuid, deadline))
        if error := self._outcomes.get(wake.session_agent_uuid):
            raise error


def message(number: int, body: str | None = None, received: int = 1) -> dict[str, Any]:
    return {
        "messageId": f"m-{number}",
        "receiptHandle": f"r-{number}",
        "body": body_of(Wake("acme", "s", f"sa-{number}")) if body is None else body,
        "attributes": {"ApproximateReceiveCount": str(received)},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:111122223333:queue",
    }


def handle(
    step: Any, *records: dict[str, Any], messages: FakeMessages | None = None, poison: Any = None
) -> list[str]:
    """Return the ids of the messages that a worker keeps."""
    with ThreadPoolExecutor(8) as pool:
        deliveries = Deliveries(
            messages or FakeMessages(), poison or FakePoison(), worker_handler.LONGEST_BACKOFF
        )
        worker = Worker(step, deliveries, FakeClock(), pool, Seats(4))
        answer = worker.handle({"Records": list(records)}, FakeContext())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def test_messages_worked_off_are_deleted() -> None:
    step = FakeStep()
    assert handle(step, message(1), message(2)) == []
    assert sorted(name for name, _ in step.calls) == ["sa-1", "sa-2"]


def test_deadline_is_when_lambda_ends() -> None:
    step = FakeStep()
    handle(step, message(1))
    assert step.calls == [("sa-1", NOW.timestamp() + 60)]


def test_records_of_a_batch_run_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=10)

    def step(wake: Wake, *, deadline: float, branches: Branches) -> None:
        together.wait()

    assert handle(step, message(1), message(2), message(3)) == []


def test_agents_beside_others_have_the_room_that_the_messages_of_a_batch_leave() -> None:
    taken = []

    def step(wake: Wake, *, deadline: float, branches: Branches) -> None:
        taken.append(branches.take(9))

    handle(step, message(1), message(2), message(3))  # of four
    assert sorted(taken) == [0, 0, 1]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_whatever_a_step_raises_keeps_its_message_alone(kind: type[BaseException]) -> None:
    assert handle(FakeStep({"sa-1": kind()}), message(1), message(2)) == ["m-1"]


def test_busy_message_is_sent_anew_for_when_it_may_be_free() -> None:
    messages = FakeMessages()
    step = FakeStep({"sa-2": Busy(12.5)})
    assert handle(step, message(1), message(2, received=10), message(3), messages=messages) == []
    assert (messages.sent, messages.postponed) == ([("sa-2", 12.5)], {})


def test_busy_message_does_not_come_back_at_once() -> None:
    messages = FakeMessages()
    assert handle(FakeStep({"sa-1": Busy(0)}), message(1), messages=messages) == []
    assert messages.sent == [("sa-1", 1)]


class FullMessages(FakeMessages):
    def send(self, wakes: Sequence[Wake], *, delay: float = 0) -> None:
        raise Throttled("the queue refuses")


def test_busy_message_that_cannot_be_sent_anew_is_kept() -> None:
    messages = FullMessages()
    assert handle(FakeStep({"sa-1": Busy(12.5)}), message(1), messages=messages) == ["m-1"]
    assert messages.postponed == {"r-1": 12.5}


@pytest.mark.parametrize(("received", "seconds"), [(1, 2.0), (3, 8.0), (9, 512.0)])
def test_failed_message_comes_back_later_each_time(received: int, seconds: float) -> None:
    messages, poison = FakeMessages(), FakePoison()
    step = FakeStep({"sa-1": RuntimeError("no table")})
    assert handle(step, message(1, received=received), messages=messages, poison=poison) == ["m-1"]
    assert (messages.postponed, poison.given_up) == ({"r-1": seconds}, [])


@pytest.mark.parametrize("received", [10, 11])
def test_message_that_fails_for_the_last_time_is_given_up_and_left_to_the_redrive_policy(
    received: int,
) -> None:
    messages, poison = FakeMessages(), FakePoison()
    step = FakeStep({"sa-1": RuntimeError("password: hunter2")})
    assert handle(step, message(1, received=received), messages=messages, poison=poison) == ["m-1"]
    assert messages.postponed == {"r-1": 0}
    assert poison.given_up == [("sa-1", "RuntimeError (message m-1); the log has the rest")]


REFUSALS = [
    Throttled("no"),
    Unavailable("no"),
    ConnectionResetError("no"),
    TimeoutError(),
    EndpointConnectionError(endpoint_url="x"),
]


@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_what_a_backend_refuses_comes_back_later_each_time_with_jitter(error: Exception) -> None:
    messages, poison = FakeMessages(), FakePoison()
    step = FakeStep({f"sa-{number}": error for number in range(1, 9)})
    records = [message(number, received=number) for number in range(1, 9)]
    assert len(handle(step, *records, messages=messages, poison=poison)) == 8
    assert all(
        2**number / 2 <= messages.postponed[f"r-{number}"] <= 2**number for number in range(1, 9)
    )
    assert (messages.sent, poison.given_up) == ([], [])


@pytest.mark.parametrize("received", [9, 10, 25])
@pytest.mark.parametrize("error", REFUSALS, ids=lambda error: type(error).__name__)
def test_what_a_backend_refuses_for_long_is_sent_anew_and_never_given_up(
    error: Exception, received: int
) -> None:
    messages, poison = FakeMessages(), FakePoison()
    assert (
        handle(
            FakeStep({"sa-1": error}),
            message(1, received=received),
            messages=messages,
            poison=poison,
        )
        == []
    )
    ((name, delay),) = messages.sent
    assert name == "sa-1"
    assert min(2**received, 900) / 2 <= delay <= min(2**received, 900)
    assert (messages.postponed, poison.given_up) == ({}, [])


def test_what_can_neither_be_worked_off_nor_sent_anew_is_kept() -> None:
    messages, poison = FullMessages(), FakePoison()
    step = FakeStep({"sa-1": Unavailable("no")})
    assert handle(step, message(1, received=10), messages=messages, poison=poison) == ["m-1"]
    assert 450 <= messages.postponed["r-1"] <= 900
    assert poison.given_up == []


def test_message_that_cannot_be_given_up_comes_back_later() -> None:
    messages = FakeMessages()
    step = FakeStep({"sa-1": RuntimeError("no table")})
    broken = FakePoison(ConnectionError("no table"))
    assert handle(step, message(1, received=10), messages=messages, poison=broken) == ["m-1"]
    assert messages.postponed == {"r-1": 900}


def test_poison_message_is_left_to_the_redrive_policy() -> None:
    messages, step = FakeMessages(), FakeStep()
    assert handle(step, message(1, body="{"), message(2), messages=messages) == ["m-1"]
    assert [name for name, _ in step.calls] == ["sa-2"]
    assert messages.postponed == {"r-1": 0}


def test_batch_that_fails_altogether_is_kept_altogether() -> None:
    step = FakeStep({"sa-1": RuntimeError(), "sa-2": RuntimeError()})
    assert handle(step, message(1), message(2)) == ["m-1", "m-2"]


def test_message_that_cannot_be_postponed_is_kept_all_the_same() -> None:
    assert handle(FakeStep({"sa-1": Busy(5)}), message(1), messages=BrokenMessages()) == ["m-1"]


def test_importing_the_worker_builds_nothing() -> None:
    assert "handler" not in vars(worker)


def test_worker_handles_one_event_after_another() -> None:
    step = FakeStep()
    with ThreadPoolExecutor(2) as pool:
        deliveries = Deliveries(FakeMessages(), FakePoison(), 900)
        worker = Worker(step, deliveries, FakeClock(), pool, Seats(2))
        for number in (1, 2):
            assert worker.handle({"Records": [message(number)]}, FakeContext()) == {
                "batchItemFailures": []
            }
    assert [name for name, _ in step.calls] == ["sa-1", "sa-2"]
