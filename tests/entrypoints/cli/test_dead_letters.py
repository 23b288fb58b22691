"""A message whose step always raises fails its session and becomes a dead letter.

An operator can send it again.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import time
from typing import Any

import pytest
import time_machine

from ai_coordination_engine import bootstrap
from ai_coordination_engine.adapters.sqlite_queue import SqliteQueue
from ai_coordination_engine.adapters.sqs import body_of
from ai_coordination_engine.assembly import MAX_RECEIVES
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.engine.work import poison, process_message
from ai_coordination_engine.entrypoints.cli import cli
from ai_coordination_engine.entrypoints.cli.dead_letters import DeadLetters, listed, redrive
from ai_coordination_engine.entrypoints.cli.explanations import explain
from ai_coordination_engine.entrypoints.cli.failures import Failure
from ai_coordination_engine.entrypoints.deliveries import Deliveries, Delivery
from ai_coordination_engine.entrypoints.local.home import StartError, home
from ai_coordination_engine.entrypoints.local.local_worker import SqsMessages
from ai_coordination_engine.errors import NotFound
from ai_coordination_engine.ports import Backfill, CancelJob, Fire
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.records.entities import TASK_SCHEDULE
from ai_coordination_engine.store.transitions.schedules import Handled
from benchmarks.harness.api import Api
from tests.kit.commands import ace

SETTINGS = Settings(auth="local", agent_timeout_seconds=30)
AGENTS = [{"agentUuid": "first"}, {"agentUuid": "second"}]


class Bug:
    """Transitions of agents or schedules of which some raise an unexpected error."""

    def __init__(self, transitions: Any) -> None:
        self._transitions = transitions

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transitions, name)

    def claim(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("password: hunter2")

    sessions = claim


def broken(app: App) -> App:
    """The application with a bug in every step and in every firing."""
    copy = replace(app)
    vars(copy).update(agents=Bug(app.agents), schedules=Bug(app.schedules))
    return copy


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A directory in which a server has stored data."""
    folder = tmp_path / "data"
    with home(folder):
        return folder


@contextmanager
def opened(data_dir: Path) -> Iterator[App]:
    """The application on the state of a directory."""
    with home(data_dir) as found:
        yield found.build(SETTINGS)


def messages_of(app: App) -> Any:
    """What a worker receives from."""
    if isinstance(app.queue, SqliteQueue):
        return app.queue
    return SqsMessages(bootstrap.client("sqs"), app.settings.queue_url, app.queue)  # type: ignore[arg-type]


def dead_letter(app: App, body: str) -> None:
    """Put anything among the dead letters."""
    if isinstance(app.queue, SqliteQueue):
        app.queue._insert([("?", body, time(), time(), 0, 1)])
    else:
        url = bootstrap.dead_letter_queues(app.settings)[0]
        bootstrap.client("sqs").send_message(QueueUrl=url, MessageBody=body)


def start(api: Api) -> tuple[str, str]:
    """Start a session of two agents, the second of which waits for the first."""
    saved = api.data(
        "mutation ($agents: [JSONCamelCase]) { insertUpdateCoordination(agents: $agents, updatedBy:"
        ' "t") { coordination { coordinationUuid } } }',
        agents=AGENTS,
    )
    coordination = saved["insertUpdateCoordination"]["coordination"]["coordinationUuid"]
    saved = api.data(
        "mutation ($coordination: String!, $actions: JSONCamelCase) {"
        ' insertUpdateTask(coordinationUuid: $coordination, taskName: "t", agentActions: $actions,'
        ' initialTaskQuery: "hello", updatedBy: "t") { task { taskUuid } } }',
        coordination=coordination,
        actions={"second": {"predecessors": ["first"]}},
    )
    started = api.data(
        "mutation ($coordination: String!, $task: String!) {"
        " executeProcedureTaskSession(coordinationUuid: $coordination, taskUuid: $task) {"
        " procedureTaskSession { sessionUuid } } }",
        coordination=coordination,
        task=saved["insertUpdateTask"]["task"]["taskUuid"],
    )
    return (
        coordination,
        started["executeProcedureTaskSession"]["procedureTaskSession"]["sessionUuid"],
    )


def seen(api: Api, session: tuple[str, str]) -> tuple[str, list[str]]:
    """Return the status of a session and the states of its agents."""
    found = api.data(
        "query ($c: String!, $s: String!) { session(coordinationUuid: $c, sessionUuid: $s) "
        "{ status sessionAgents { state } } }",
        c=session[0],
        s=session[1],
    )["session"]
    return found["status"], [agent["state"] for agent in found["sessionAgents"]]


def work(app: App, rounds: int = 100) -> int:
    """Receive until no message comes, without backoff; return the number of messages."""
    messages = messages_of(app)
    deliveries = Deliveries(messages, partial(poison, app), longest_backoff=0)
    for number in range(rounds):
        received = messages.receive(1, wait=False)
        if not received:
            return number
        (message,) = received
        times = int(message["Attributes"]["ApproximateReceiveCount"])
        delivery = Delivery(message["Body"], message["MessageId"], times)
        seconds = deliveries.process(delivery, partial(process_message, app))
        if seconds is None:
            messages.finish(message["ReceiptHandle"], 0)
        else:
            messages.postpone(message["ReceiptHandle"], seconds)
    raise AssertionError("the queue does not empty")


def letters(app: App) -> DeadLetters:
    return DeadLetters.of(app, wait_seconds=0)


def bodies(app: App) -> list[str]:
    """Return the bodies in the dead-letter queue."""
    return [
        letter.message.session_uuid if letter.message else "?"
        for letter in listed(app, letters(app))
    ]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def test_a_step_that_raises_each_time_fails_its_session_and_its_message_is_a_dead_letter(
    app: App, runner: asyncio.Runner
) -> None:
    api = Api(app, runner)
    session = start(api)
    assert work(broken(app)) == MAX_RECEIVES
    status, states = seen(api, session)
    assert (status, states[0]) == ("failed", "failed")
    notes = json.dumps(
        api.data(
            "query ($s: String!) { sessionAgentList(sessionUuid: $s) { sessionAgentList { notes"
            " } } }",
            s=session[1],
        )
    )
    assert "RuntimeError" in notes
    assert "hunter2" not in notes
    assert bodies(app) == [session[1]]
    assert bodies(app) == [session[1]], "a list leaves everything where it is"


def test_a_dead_letter_that_is_brought_back_completes_its_session(
    app: App, runner: asyncio.Runner
) -> None:
    api = Api(app, runner)
    session = start(api)
    work(broken(app))
    ((letter, done),) = list(redrive(app, letters(app)))
    assert (letter.message and letter.message.session_uuid, done) == (
        session[1],
        "its session continues",
    )
    work(app)
    assert seen(api, session) == ("completed", ["completed", "completed"])
    assert bodies(app) == []


def test_a_dead_letter_of_a_session_that_has_completed_changes_nothing(
    app: App, runner: asyncio.Runner
) -> None:
    api = Api(app, runner)
    session = start(api)
    sqs, url = bootstrap.client("sqs"), bootstrap.dead_letter_queues(app.settings)[0]
    (message,) = sqs.receive_message(QueueUrl=app.settings.queue_url, VisibilityTimeout=0)[
        "Messages"
    ]
    work(app)
    sqs.send_message(QueueUrl=url, MessageBody=message["Body"])
    ((_, done),) = list(redrive(app, letters(app)))
    assert done == "sent again; its session needed no repair"
    work(app)
    assert seen(api, session) == ("completed", ["completed", "completed"])


def test_what_cannot_be_read_becomes_a_dead_letter_at_once_and_stays_one(app: App) -> None:
    sqs = bootstrap.client("sqs")
    sqs.send_message(QueueUrl=app.settings.queue_url, MessageBody="{")
    assert work(app) == MAX_RECEIVES
    ((letter, done),) = list(redrive(app, letters(app)))
    assert (letter.message, done) == (None, "")
    assert letter.problem.startswith("the body is not a message of the engine")
    assert bodies(app) == ["?"]


def test_many_letters_come_back_once_each_and_those_that_cannot_stay(
    app: App, runner: asyncio.Runner
) -> None:
    api = Api(app, runner)
    sessions = [start(api) for _ in range(12)]
    work(broken(app), rounds=500)

    class FullQueue:
        """Refuses the wake-up of the first session."""

        def send(self, wakes: Any, *, delay: float = 0) -> None:
            if wakes[0].session_uuid == sessions[0][1]:
                raise RuntimeError("full")
            app.queue.send(wakes, delay=delay)

    done = list(redrive(replace(app, queue=FullQueue()), letters(app)))
    assert len(done) == 12
    assert [letter.problem for letter, what in done if not what] == ["RuntimeError: full"]
    assert bodies(app) == [sessions[0][1]]


# Of schedules


def schedule(api: Api, expression: str) -> tuple[str, str]:
    """Create an active schedule of a task; return it and its next time, which is now."""
    coordination, _ = start(api)
    task = api.data(
        "query ($c: String!) { taskList(coordinationUuid: $c) { taskList { taskUuid } } }",
        c=coordination,
    )["taskList"]["taskList"][0]["taskUuid"]
    saved = api.data(
        "mutation ($c: String!, $t: String!, $s: String!) { insertUpdateTaskSchedule("
        'coordinationUuid: $c, taskUuid: $t, schedule: $s, status: "active", updatedBy: "t") {'
        " taskSchedule { scheduleUuid } } }",
        c=coordination,
        t=task,
        s=expression,
    )["insertUpdateTaskSchedule"]["taskSchedule"]
    return task, saved["scheduleUuid"]


def told(api: Api, key: tuple[str, str]) -> Any:
    """Return the fields of a schedule."""
    return api.data(
        "query ($t: String!, $s: String!) { taskSchedule(taskUuid: $t, scheduleUuid: $s) { status"
        " runCount missedCount whyNotFired { code message } sessions { status } } }",
        t=key[0],
        s=key[1],
    )["taskSchedule"]


def due(app: App, key: tuple[str, str]) -> Fire:
    """Return the message for the next time of a schedule."""
    ((found,),) = app.schedules.due(1e12)
    assert found.key == key
    return Fire("acme", *key, int(found.next_fire_at), found.revision, found.fire_at - 1)


def test_a_time_whose_message_is_a_dead_letter_is_missed_and_may_be_brought_back(
    app: App, runner: asyncio.Runner
) -> None:
    api = Api(app, runner)
    with time_machine.travel("2026-11-02T08:58:00Z") as clock:
        key = schedule(api, "0 9 * * *")
        work(app)
        message = due(app, key)
        clock.move_to("2026-11-02T09:00:00Z")
        app.queue.send([message])
        assert work(broken(app)) == MAX_RECEIVES
        missed = told(api, key)
        why = missed["whyNotFired"]
        assert (missed["runCount"], missed["missedCount"], why["code"]) == (0, 1, "MISSED")
        assert why["message"].startswith("Its message is in the dead-letter queue: RuntimeError")
        assert "hunter2" not in why["message"]
        (letter,) = listed(app, letters(app))
        about = f"task {key[0]}, schedule {key[1]}, its time 2026-11-02 09:00:00Z"
        assert letter.line.endswith(f"  tenant acme, {about}")
        ((_, done),) = list(redrive(app, letters(app)))
        assert done == "its session is started"
        work(app)
        assert told(api, key) == {
            **missed,
            "runCount": 1,
            "sessions": [{"status": "completed"}],
        }
        app.queue.send([message])  # late: it does nothing
        work(app)
        assert told(api, key)["runCount"] == 1
        assert listed(app, letters(app)) == []


def test_a_dead_letter_of_a_time_that_a_schedule_no_longer_has_starts_nothing(
    app: App, runner: asyncio.Runner
) -> None:
    api = Api(app, runner)
    key = schedule(api, "0 9 * * *")
    gone = replace(due(app, key), nominal=7)
    dead = bootstrap.dead_letter_queues(app.settings)[0]
    bootstrap.client("sqs").send_message(QueueUrl=dead, MessageBody=body_of(gone))
    ((_, done),) = list(redrive(app, letters(app)))
    assert (done, told(api, key)["runCount"]) == ("its schedule no longer has the time", 0)


def test_a_dead_letter_of_a_backfill_goes_on_with_it(app: App, runner: asyncio.Runner) -> None:
    api = Api(app, runner)
    key = schedule(api, "0 9 * * *")
    work(app)
    found = app.records.get(TASK_SCHEDULE, "acme", key, consistent=True)
    assert found is not None
    app.schedules.count(found, Handled(owed=[1_767_258_000]))
    dead = bootstrap.dead_letter_queues(app.settings)[0]
    body = body_of(Backfill("acme", *key))
    bootstrap.client("sqs").send_message(QueueUrl=dead, MessageBody=body)
    (letter,) = listed(app, letters(app))
    assert letter.line.endswith(
        f"  tenant acme, task {key[0]}, schedule {key[1]}, a backfill of it"
    )
    ((_, done),) = list(redrive(app, letters(app)))
    assert done == "its backfill continues"
    work(app)
    assert told(api, key)["sessions"] == [{"status": "completed"}]
    assert told(api, key)["runCount"] == 1


def test_a_dead_letter_of_a_cancelled_job_is_sent_again(app: App) -> None:
    dead = bootstrap.dead_letter_queues(app.settings)[0]
    message = CancelJob("acme", "s-1", "a-1", "r-1", "job-1", '{"kind": "function"}')
    bootstrap.client("sqs").send_message(QueueUrl=dead, MessageBody=body_of(message))
    (letter,) = listed(app, letters(app))
    assert letter.line.endswith("  tenant acme, session s-1, the end of job job-1")
    ((_, done),) = list(redrive(app, letters(app)))
    assert done == "its job is cancelled again"
    work(app)
    assert list(listed(app, letters(app))) == []


# From the command line


def test_a_queue_without_a_dead_letter_queue_is_said(app: App) -> None:
    url = bootstrap.client("sqs").create_queue(QueueName="alone")["QueueUrl"]
    with pytest.raises(NotFound, match="no dead-letter queue"):
        bootstrap.dead_letter_queues(app.settings.model_copy(update={"queue_url": url}))


def test_an_operator_brings_a_session_back_from_the_command_line(
    data_dir: Path, runner: asyncio.Runner
) -> None:
    with opened(data_dir) as app:
        session = dead_letters_of(app, runner)
    there = ("--data-dir", str(data_dir))
    shown = ace("dlq", "list", *there)
    assert (shown.returncode, shown.stderr) == (0, "")
    check_list(shown.stdout, session)
    done = ace("dlq", "redrive", *there)
    assert (done.returncode, done.stderr) == (1, "ace: 1 of 2 dead letters remain in the queue.\n")
    assert ": its session continues\n" in done.stdout
    assert f"To process them: ace serve --data-dir {data_dir}\n" in done.stdout
    with opened(data_dir) as app:
        check_continued(app, runner, session)


def test_an_operator_brings_a_session_back_that_is_on_aws(
    app: App,
    runner: asyncio.Runner,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    session = dead_letters_of(app, runner)
    monkeypatch.setenv("ACE_QUEUE_URL", app.settings.queue_url)
    monkeypatch.setenv("ACE_BUCKET", app.settings.bucket)
    cli.list_dead_letters(aws=True)
    check_list(capsys.readouterr().out, session)
    with pytest.raises(Failure, match="1 of 2 dead letters remain in the queue"):
        cli.redrive(aws=True)
    assert ": its session continues\n" in capsys.readouterr().out
    check_continued(app, runner, session)


def dead_letters_of(app: App, runner: asyncio.Runner) -> tuple[str, str]:
    """Make a dead letter of a session and one that cannot be sent again; return the session."""
    session = start(Api(app, runner))
    work(broken(app))
    dead_letter(app, "{")
    return session


def check_list(printed: str, session: tuple[str, str]) -> None:
    """Check what is printed of these two dead letters."""
    lines = printed.splitlines()
    assert sorted(line.split("  ")[2][:6] for line in lines) == ["tenant", "unread"]
    (line,) = [
        line for line in lines if f"tenant acme, session {session[1]}, agent first (" in line
    ]
    assert "): " in line
    assert "RuntimeError (message " in line
    assert "hunter2" not in printed


def check_continued(app: App, runner: asyncio.Runner, session: tuple[str, str]) -> None:
    """Check that the session completes, and that the other dead letter is still one."""
    work(app)
    assert seen(Api(app, runner), session) == ("completed", ["completed", "completed"])
    assert bodies(app) == ["?"]


def test_an_empty_queue_and_one_that_is_not_named_are_said(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.redrive(data_dir=data_dir)
    assert capsys.readouterr().out == "There are no dead letters.\n"
    assert (
        refused(cli.list_dead_letters)
        == "Say where the queue is: --data-dir DIR, or --aws with ACE_QUEUE_URL."
    )
    assert refused(partial(cli.redrive, aws=True)).startswith(
        "Set ACE_QUEUE_URL to the URL of the queue"
    )


@pytest.mark.parametrize("command", [cli.list_dead_letters, cli.redrive])
def test_a_directory_without_data_is_said_and_left_as_it_was(
    tmp_path: Path, command: Callable[..., None]
) -> None:
    for there in (tmp_path / "nowhere", tmp_path):
        found = refused(partial(command, data_dir=there))
        assert (
            found == f"There is no data in {there}; name the directory of: ace serve --data-dir DIR"
        )
    assert list(tmp_path.iterdir()) == []


def test_a_directory_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("")
    with pytest.raises(StartError, match="holds the data of an earlier version") as raised:
        cli.list_dead_letters(data_dir=tmp_path)
    assert explain(raised.value) == (f"ace: {raised.value}", 1)


def refused(command: Callable[[], None]) -> str:
    """Return the message of a command that exits with 2."""
    with pytest.raises(Failure) as raised:
        command()
    assert explain(raised.value) == (f"ace: {raised.value}", 2)
    return str(raised.value)


def test_a_letter_keeps_the_time_when_it_was_sent_through_restarts(data_dir: Path) -> None:
    def sent(moment: str) -> Any:
        with time_machine.travel(moment), opened(data_dir) as app:
            return [letter.sent for letter in listed(app, letters(app))]

    with time_machine.travel("2026-01-02T03:04:05Z"), opened(data_dir) as app:
        dead_letter(app, "{")
    (one,) = sent("2026-01-03T00:00:00Z")
    assert f"{one:%Y-%m-%d %H:%M}" == "2026-01-02 03:04"
    assert sent("2026-01-16T03:04:00Z") == [one]
    assert sent("2026-01-16T03:04:10Z") == [], "after 14 days, as SQS does"
