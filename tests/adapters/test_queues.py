"""The queues of both homes: random operations are answered as one model allows (promise P11)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import time_machine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from moto import mock_aws

from ai_coordination_engine import bootstrap
from ai_coordination_engine.adapters.sqlite_queue import SqliteQueue
from ai_coordination_engine.adapters.sqs import SqsQueue
from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.entrypoints.cli.dead_letters import _SqsDeadLetters
from ai_coordination_engine.entrypoints.local.local_worker import SqsMessages
from ai_coordination_engine.settings import Settings
from tests.kit.fakes import FakeClock
from tests.kit.queue_operations import HIDDEN, MOST, Conversation, Operation, operations

OPERATIONS = st.lists(operations(), min_size=5, max_size=40)


def carry_out(conversation: Conversation, wanted: list[Operation]) -> None:
    for each in wanted:
        conversation.advance(0)
        each(conversation)
    conversation.end()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[DatabaseFile]:
    made = DatabaseFile(tmp_path / "ace.db", "none")
    yield made
    made.close()


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(wanted=OPERATIONS)
def test_sqlite_answers_as_the_model_allows(file: DatabaseFile, wanted: list[Operation]) -> None:
    file.write(lambda connection: connection.execute("DROP TABLE IF EXISTS messages"))
    clock = FakeClock()
    queue = SqliteQueue(file, clock, HIDDEN, MOST)
    carry_out(Conversation(queue, queue, clock.advance, is_exact=True), wanted)


@dataclass(frozen=True)
class OnSqs(SqsMessages):
    """A queue of SQS with all that its consumers do."""

    def dead_letter(self, wake: Any) -> None:
        self.queue.dead_letter(wake)  # type: ignore[attr-defined]


@pytest.fixture
def sqs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], tuple[Any, Any]]]:
    monkeypatch.setattr(bootstrap, "visible_after", lambda _: HIDDEN)
    monkeypatch.setattr(bootstrap, "MAX_RECEIVES", MOST)
    with mock_aws():
        client = bootstrap.client("sqs")

        def made() -> tuple[Any, Any]:
            for url in client.list_queues().get("QueueUrls", []):
                client.delete_queue(QueueUrl=url)
            asked = bootstrap.create_queue_and_bucket(Settings(auth="local", bucket="b"))
            queue = OnSqs(client, asked.queue_url, SqsQueue(client, asked.queue_url))
            return queue, _SqsDeadLetters(client, bootstrap.dead_letter_queues(asked), 0)

        yield made


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(wanted=OPERATIONS)
def test_sqs_answers_as_the_model_allows(
    sqs: Callable[[], tuple[Any, Any]], wanted: list[Operation]
) -> None:
    with time_machine.travel("2026-11-02T09:00:00Z", tick=False) as clock:
        queue, letters = sqs()
        carry_out(Conversation(queue, letters, clock.shift, is_exact=False), wanted)
