"""Push configurations of A2A tasks, and the notices that their receivers get."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ai_coordination_engine.database_file import DatabaseFile
from ai_coordination_engine.domain import json_text, topics
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.local_notices import AT_ONE_RECEIVER, LocalNotices
from ai_coordination_engine.served import sessions
from ai_coordination_engine.served.a2a import notices, pushes
from ai_coordination_engine.served.a2a.errors import ProtocolError
from ai_coordination_engine.served.a2a.wire import Push, sent
from ai_coordination_engine.served.sessions import ServedSession
from ai_coordination_engine.served.tasks import served_task
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.leases import LEASE_SECONDS
from ai_coordination_engine.store.push_configurations import KEPT_SECONDS, PushConfiguration
from ai_coordination_engine.store.records.entities import SESSION
from tests.kit.crashes import Crash, Tripwire
from tests.kit.fakes import FakeNotices
from tests.kit.homes import on_sqlite
from tests.kit.stage import TENANT, Stage, stage_of

URL = "https://ok.example/hook"
AGENTS = {"a": ""}
ASK = {"a": {"user_in_the_loop": "ann"}}


class Told:
    """A task that asks one question, and who is told of it."""

    def __init__(
        self, app: App, agents: dict[str, str] = AGENTS, actions: dict[str, Any] = ASK
    ) -> None:
        self.notices = FakeNotices()
        self.stage: Stage = stage_of(app)
        self.app = replace(self.stage.app, notices=self.notices)
        self.stage.define(agents, actions=actions, expose_as={"name": "ask"})
        task = served_task(self.app, TENANT, "a2a", "ask")
        self.begun = sessions.start(self.app, TENANT, task, {"query": "x"}, protocol="a2a")
        self.again: list[tuple[Key, float]] = []

    def call(self, method: Any, **given: Any) -> Any:
        return method(self.app, TENANT, {"taskId": self.begun.handle, **given})

    def look(self) -> ServedSession:
        return sessions.look(self.app, TENANT, self.begun.handle, "a2a")

    def read(self) -> PushConfiguration | None:
        return self.app.push_configurations.get(self.notices.looks[0])

    def deliver(self) -> None:
        """Look once, as if the session had changed."""
        read = self.read()
        if read is not None and notices.has_news(self.app, read):
            notices.deliver(self.app, self.notices, read, self._again)

    def _again(self, read: PushConfiguration, seconds: float) -> None:
        self.again.append((read.key, seconds))

    @property
    def states(self) -> list[str]:
        return [body["task"]["status"]["state"] for _, body in self.notices.got]

    def answer(self) -> None:
        sessions.answer(self.app, TENANT, self.begun.handle, "a2a", "red")
        self.stage.drain()


@pytest.fixture
def told(app: App) -> Told:
    return Told(app)


def test_configurations_are_made_read_listed_and_deleted(told: Told) -> None:
    made = told.call(pushes.create, url=URL)
    assert made == {"id": made["id"], "taskId": told.begun.handle, "url": URL}
    assert told.call(pushes.create, url=URL, token="", authentication={}) == made
    named = told.call(pushes.create, url=f"{URL}/2", id="two")
    assert told.call(pushes.get, id="two") == named
    assert told.call(pushes.listed) == {
        "configs": sorted([made, named], key=lambda each: each["id"]),
        "nextPageToken": "",
    }
    assert sorted(told.app.push_configurations.listed()) == sorted({*told.notices.looks})
    assert told.call(pushes.delete, id="two") == told.call(pushes.delete, id="two") == {}
    with pytest.raises(ProtocolError, match="no such push configuration") as refused:
        told.call(pushes.get, id="two")
    assert refused.value.reason == "TASK_NOT_FOUND"
    told.stage.clock.advance(KEPT_SECONDS)
    assert told.call(pushes.listed)["configs"] == []


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"token": "s3cret"}, "token", "is not stored: leave it out"),
    (
        {"authentication": {"scheme": "Bearer", "credentials": "s3cret"}},
        "authentication",
        "the operator of this server sets the headers that the receiver gets (ACE_A2A_PUSH)",
    ),
    ({"url": "https://other.example/"}, "url", "is not allowed"),
    ({"url": ""}, "url", "must be a URL of at most 2000 characters"),
    ({"id": 3}, "id", "must be a text"),
]


def test_what_cannot_be_kept_or_reached_is_refused_before_anything_begins(told: Told) -> None:
    message = {"messageId": "m", "role": "ROLE_USER", "parts": [{"text": "x"}]}
    for given, field, words in REFUSED:
        push = {"url": URL, **given}
        with pytest.raises(ProtocolError) as refused:
            told.call(pushes.create, **push)
        assert (refused.value.field, words in refused.value.message) == (field, True)
        assert "s3cret" not in refused.value.message
        asked = {"message": message, "configuration": {"taskPushNotificationConfig": push}}
        with pytest.raises(ProtocolError) as refused:
            pushes.check(told.app, sent(asked).push or Push("", None, ""))
        assert refused.value.field == f"configuration.taskPushNotificationConfig.{field}"
    assert told.call(pushes.listed)["configs"] == []


def test_a_task_has_a_number_of_configurations_at_most(told: Told) -> None:
    for number in range(pushes.MOST):
        told.call(pushes.create, url=f"{URL}/{number}")
    told.call(pushes.create, url=f"{URL}/0")
    with pytest.raises(ProtocolError, match="has 10 push configurations: delete one first"):
        told.call(pushes.create, url=URL)


def test_a_receiver_is_told_of_a_question_and_of_the_end_once_each(told: Told) -> None:
    told.call(pushes.create, url=URL)
    told.deliver()
    assert told.notices.got == []  # it has only begun
    told.stage.drain()
    told.deliver()
    told.deliver()
    assert told.states == ["TASK_STATE_INPUT_REQUIRED"]
    told.answer()
    told.deliver()
    assert told.states == ["TASK_STATE_INPUT_REQUIRED", "TASK_STATE_COMPLETED"]
    url, body = told.notices.got[-1]
    assert url == URL
    assert body["task"]["id"] == told.begun.handle
    assert body["task"]["artifacts"][0]["parts"] == [{"text": "A", "mediaType": "text/plain"}]
    assert "history" not in body["task"]
    assert told.read() is None  # it ends with the task
    assert [*told.app.push_configurations.listed()] == []


def test_what_is_large_is_told_without_its_artifacts(told: Told) -> None:
    seen = replace(told.look(), message="x" * notices.LARGE)
    body = json_text.loads(notices.body_of(seen).decode())
    assert isinstance(body, dict)
    assert [*body] == ["statusUpdate"]


def test_a_process_that_dies_at_any_call_leaves_the_notice_to_another_one(told: Told) -> None:
    told.stage.drain()
    wire = Tripwire()
    told.notices.reach = wire
    for point in (1, 2):  # before it is sent, and after, when nobody knows
        told.call(pushes.create, url=URL, id=f"{point}")
        told.notices.looks = told.notices.looks[-1:]
        wire._trip_at, wire.points = (point,), 0
        with pytest.raises(Crash):
            told.deliver()
        wire.revive()
        told.deliver()
        assert told.again[-1] == (told.notices.looks[0], notices.BUSY_SECONDS)  # under its lease
        told.stage.clock.advance(LEASE_SECONDS)
        told.deliver()
        told.deliver()
        assert told.states == ["TASK_STATE_INPUT_REQUIRED"] * point
        told.notices.got.clear()


def test_who_has_read_before_another_one_sent_sends_nothing(told: Told) -> None:
    told.call(pushes.create, url=URL)
    told.stage.drain()
    before = told.read()
    assert before is not None
    told.deliver()
    notices.deliver(told.app, told.notices, before, told._again)
    assert len(told.notices.got) == len(told.again) == 1


def test_a_dead_receiver_is_tried_again_ever_later_and_then_given_up(told: Told) -> None:
    told.call(pushes.create, url=URL)
    told.stage.drain()
    told.notices.is_dead = True
    for _ in range(notices.TRIES):
        told.deliver()
        told.deliver()  # not before it is due
        told.stage.clock.advance(told.again[-1][1])
    assert [wait for _, wait in told.again] == [5, 10, 20, 40, 80, 160, 320, 640, 900]
    told.notices.is_dead = False
    told.deliver()
    assert told.notices.got == []
    told.answer()
    told.deliver()
    assert told.states == ["TASK_STATE_COMPLETED"]


def test_a_configuration_goes_with_its_session(told: Told) -> None:
    told.call(pushes.create, url=URL)
    told.app.records.table(SESSION).delete_many(TENANT, [told.begun.session.key])
    told.deliver()
    assert (told.notices.got, told.read()) == ([], None)


def test_a_server_without_receivers_refuses_as_the_protocol_says(told: Told) -> None:
    told.app = replace(told.app, notices=None)
    for method in (pushes.create, pushes.get, pushes.listed, pushes.delete):
        with pytest.raises(ProtocolError) as refused:
            told.call(partial(method), url=URL, id="x")
        assert refused.value.reason == "PUSH_NOTIFICATION_NOT_SUPPORTED"


def test_nobody_tries_a_receiver_again_before_it_is_due(told: Told) -> None:
    told.call(pushes.create, url=URL)
    told.stage.drain()
    told.notices.is_dead = True
    told.deliver()
    local, (key,) = LocalNotices(told.app), told.notices.looks
    read = told.read()
    assert read is not None
    for _ in range(notices.TRIES):  # the session changes, or its client asks again
        notices.deliver(told.app, told.notices, read, told._again)
        local._again(read, 5)
        local._look(key)
        local._deliver(key)
    assert told.again == [(key, 5.0)]
    now = told.read()
    assert now is not None
    assert now.version == read.version
    told.stage.clock.advance(5)
    told.notices.is_dead = False
    local._deliver(key)
    assert told.states == ["TASK_STATE_INPUT_REQUIRED"]


def test_a_local_server_looks_at_what_is_new_and_now_and_then_at_all(told: Told) -> None:
    local = LocalNotices(told.app)
    for number in range(3):
        told.call(pushes.create, url=f"{URL}/{number}")
        local._list(is_whole=False)
        assert [*local._due] == told.notices.looks[-1:]
        local._due.clear()
    local._list(is_whole=True)
    assert {*local._due} == {*told.notices.looks}


def test_changes_that_come_together_are_one_look(told: Told) -> None:
    told.call(pushes.create, url=URL)
    local, (key,) = LocalNotices(told.app), told.notices.looks
    read = told.read()
    assert read is not None
    local._again(read, 300)
    far = local._due[key]
    local._look(key)
    soon = local._due[key]
    local._look(key)
    assert local._due[key] == soon < far


def test_a_slow_receiver_keeps_some_threads_of_a_local_server(told: Told) -> None:
    told.call(pushes.create, url=URL)
    told.stage.drain()
    local, (key,) = LocalNotices(told.app), told.notices.looks
    for host in ("ok.example", "slow.example"):
        for _ in range(AT_ONE_RECEIVER):
            assert local._begins(host, key)
    local._deliver(key)
    assert (told.notices.got, local._due) == ([], {})
    local._ends("ok.example")
    assert [*local._due] == [key]
    local._deliver(key)
    assert told.states == ["TASK_STATE_INPUT_REQUIRED"]


def test_each_question_of_a_task_is_told(app: App) -> None:
    told = Told(app, {"a": "", "b": "a"}, {**ASK, "b": ASK["a"]})
    told.call(pushes.create, url=URL)
    told.stage.drain()
    told.deliver()
    told.answer()
    told.deliver()
    told.deliver()
    asked = [body["task"]["status"] for _, body in told.notices.got]
    assert [each["state"] for each in asked] == ["TASK_STATE_INPUT_REQUIRED"] * 2
    assert len({each["message"]["metadata"]["questions"][0]["question"] for each in asked}) == 2


def test_configurations_that_are_made_at_the_same_time_are_not_too_many(told: Told) -> None:
    made = told.app.push_configurations.put

    def put(configuration: PushConfiguration) -> None:
        """As many as may be come in between."""
        told.app.push_configurations.put = made  # type: ignore[method-assign]
        for number in range(pushes.MOST):
            told.call(pushes.create, url=f"{URL}/{number}")
        made(configuration)

    told.app.push_configurations.put = put  # type: ignore[method-assign]
    with pytest.raises(ProtocolError, match="has 10 push configurations: delete one first"):
        told.call(pushes.create, url=URL)
    assert len(told.call(pushes.listed)["configs"]) == pushes.MOST


@pytest.fixture
def told_here(settings: Settings, tmp_path: Path) -> Iterator[Told]:
    """On one machine."""
    with on_sqlite(settings, tmp_path) as app:
        yield Told(app)


def test_on_one_machine_a_configuration_is_listed_exactly_as_long_as_it_exists(
    told_here: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each commit; a look between two could take off the list what is about to be written."""
    told = told_here
    kept, write = told.app.push_configurations, DatabaseFile.write
    topic = topics.of_session(TENANT, told.begun.session.session_uuid)
    commits = []

    def written(file: DatabaseFile, work: Any) -> Any:
        done = write(file, work)
        if not file.is_together:
            assert [*kept.listed()] == [each.key for each in kept.of(topic)]
            commits.append(len(kept.of(topic)))
        return done

    monkeypatch.setattr(DatabaseFile, "write", written)
    told.call(pushes.create, url=URL, id="one")
    told.call(pushes.create, url=URL, id="two")
    told.call(pushes.delete, id="two")
    assert commits == [1, 2, 1]
    read = told.read()
    claimed = kept.claim(read) if read is not None else None
    assert claimed is not None
    kept.end(claimed)
    assert ([*kept.listed()], kept.of(topic)) == ([], [])
