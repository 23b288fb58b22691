"""The commands that look at sessions, answer and steer, against a server on loopback."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from io import StringIO
from typing import Any

import pytest

from ai_coordination_engine.client import Client, operations
from ai_coordination_engine.entrypoints.cli.cli import app
from ai_coordination_engine.entrypoints.cli.explanations import explain
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings

Ace = Callable[..., tuple[int, str, str]]
TENANTS = iter(range(1000))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Settings(auth="local"), port=0) as running:
        yield running.url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    """A client of a tenant with the task `Refunds`: `triage`, then `judge`, for which ann answers
    true or false, then `pay`.
    """
    with Client(url, tenant=f"tenant-{next(TENANTS)}") as client:
        agents = [{"agentUuid": each, "agentName": each} for each in ("triage", "judge", "pay")]
        agents[1]["runtime"] = {"kind": "function", "name": "answer"}  # type: ignore[assignment]
        client.send(
            operations.insert_update_coordination(
                coordination_uuid="c", agents=agents, updated_by="me"
            )
        )
        actions = {
            "judge": {
                "predecessors": ["triage"],
                "userInTheLoop": "ann",
                "answerSchema": {"type": "boolean"},
            },
            "pay": {"predecessors": ["triage", "judge"]},
        }
        client.send(
            operations.insert_update_task(
                coordination_uuid="c",
                task_uuid="t",
                task_name="Refunds",
                agent_actions=actions,
                updated_by="me",
            )
        )
        yield client


@pytest.fixture
def ace(client: Client, capsys: pytest.CaptureFixture[str]) -> Ace:
    """Run `ace` for the tenant of the client; returns the exit code, stdout and stderr."""
    tenant = str(client._url.path).split("/")[1]

    def ace(*words: str) -> tuple[int, str, str]:
        where = ["--url", str(client._url.copy_with(path="/graphql")), "--tenant", tenant]
        code, message = 0, ""
        try:
            app(
                [*words, *where],
                result_action="return_value",
                exit_on_error=False,
                print_error=False,
            )
        except Exception as error:
            message, code = explain(error)
        out, err = capsys.readouterr()
        return code, out, err + message

    return ace


def start(client: Client, uuid: str, query: str = "50 EUR") -> str:
    """Start a session, and wait until it asks ann."""
    client.start("c", "t", query, session_uuid=uuid)
    for view in client.watch("c", uuid):
        if view.waiting:
            break
    return uuid


def words(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_sessions_are_listed_newest_first_and_filtered(client: Client, ace: Ace) -> None:
    tenant = str(client._url.path).split("/")[1]
    assert ace("sessions") == (0, "There are no sessions.\n", f"The tenant is {tenant}.\n")
    for uuid in ("01-first-one", "02-second", "02-second-too"):
        start(client, uuid)
    client.cancel(client.session("c", "02-second"))
    code, out, _ = ace("sessions")
    listed = [(line[0], line[1], line[-1]) for line in words(out)]
    assert (code, listed) == (
        0,
        [
            ("02-second-", "in_progress", "Refunds"),
            ("02-second", "cancelled", "Refunds"),
            ("01-first-o", "in_progress", "Refunds"),
        ],
    )

    def uuids(*options: str) -> list[str]:
        return [each["sessionUuid"] for each in found("sessions", *options)["sessions"]]

    def found(*words: str) -> Any:
        return json.loads(ace(*words, "--json")[1])

    assert uuids("--status", "cancelled") == ["02-second"]
    assert uuids("--status", "cancelled", "--status", "failed") == ["02-second"]
    assert uuids("--waiting") == ["02-second-too", "01-first-one"]
    assert uuids("--task", "refund", "--limit", "1") == ["02-second-too"]
    page = found("sessions", "--limit", "2")
    assert uuids("--limit", "2", "--cursor", page["nextCursor"]) == ["01-first-one"]
    assert ace("sessions", "--user", "eve")[1] == "There are no such sessions.\n"


def test_of_an_ended_session_it_says_why_agents_were_skipped(client: Client, ace: Ace) -> None:
    actions = {"judge": {"predecessors": ["triage"], "conditions": {"triage": "@ == `false`"}}}
    client.send(
        operations.insert_update_task(
            coordination_uuid="c",
            task_uuid="s",
            task_name="Skips",
            agent_actions=actions,
            budget={"tokens": 5000},
            updated_by="me",
        )
    )
    started = client.start("c", "s", "true")
    client.wait("c", started.session_uuid)
    code, out, _ = ace("show", started.session_uuid)
    assert code == 0
    assert out.splitlines()[-1] == (
        "budget of the task for this session: 0 of 5,000 tokens spent, 0 reserved"
    )
    (judge,) = [line for line in out.splitlines() if "- judge" in line]
    assert judge.split(maxsplit=3)[2:] == [
        "skipped",
        'It was skipped: the condition "@ == `false`" on the output of triage was not met.',
    ]
    for options in ((), ("--follow",)):
        out = ace("logs", started.session_uuid, *options)[1]
        assert [
            line.split(maxsplit=3)[2:] for line in out.splitlines() if line.split()[1] == "judge"
        ] == [
            [
                "skipped",
                'It was skipped: the condition "@ == `false`" on the output of triage was not met.',
            ]
        ]


def test_a_session_is_shown_as_a_tree_with_reasons(client: Client, ace: Ace) -> None:
    start(client, "a-session", "\x1b]0;title\x07")
    assert "The session has not ended: cancel it, or wait" in ace("retry", "a-session")[2]
    code, out, _ = ace("show", "a-")
    head, _, tree = out.partition("\n\n")
    assert code == 0
    assert "session  a-session\ntask     Refunds\nstatus   in_progress\n" in head
    assert "query    \\x1b]0;title\\x07" in head
    lines = tree.splitlines()
    assert [
        line[: line.index(name)] for line, name in zip(lines, ("tri", "jud", "pay"), strict=True)
    ] == [
        "+ ",
        "  ? ",
        "    . ",
    ]
    assert lines[1].endswith("asks ann")
    assert lines[2].endswith("It waits for 1 unfinished predecessor: judge (waits for ann).")
    session = json.loads(ace("show", "a-session", "--json")[1])
    assert [(each["agentName"], each["state"], each["asks"]) for each in session["agents"]] == [
        ("triage", "completed", None),
        ("judge", "wait_for_user_input", "ann"),
        ("pay", "initial", None),
    ]
    assert session["agents"][2]["whyNotRunning"]["code"] == "WAITS_FOR_PREDECESSORS"


def test_an_id_that_is_not_one_session_is_wrong_input(client: Client, ace: Ace) -> None:
    for uuid in ("same", "same-1", "same-2"):
        start(client, uuid)

    def created(uuid: str) -> datetime:
        return client.session("c", uuid).created_at

    assert ace("show", "same-")[::2] == (
        2,
        "ace: 'same-' is not one session alone: "
        + ", ".join(
            f"{uuid} (Refunds, in_progress, {created(uuid):%Y-%m-%dT%H:%M:%S}Z)"
            for uuid in ("same-2", "same-1")
        )
        + ". Give more characters.",
    )
    assert ace("show", "same")[0] == 0  # the whole uuid of one is also the beginning of others
    for nonsense in ("nothing", "%", "\x1b[2J", "' OR 1=1", "a" * 5000, "🐝", "\x00"):
        code, out, err = ace("show", nonsense)
        assert (code, out) == (2, "")
        assert err.startswith("ace: There is no session ")
        assert err.endswith("; ace sessions lists them.")
        assert err.isprintable()
    for empty in ("", "  "):
        assert ace("watch", empty) == (
            2,
            "",
            "ace: Name a session: its uuid, or the first characters of it.",
        )


def test_equal_uuids_are_told_apart_by_their_coordinations(client: Client, ace: Ace) -> None:
    start(client, "twin")
    client.send(operations.insert_update_coordination(coordination_uuid="d", updated_by="me"))
    client.send(
        operations.insert_update_session(
            coordination_uuid="d", session_uuid="twin", updated_by="me", status="active"
        )
    )
    code, _, err = ace("show", "twin")
    assert code == 2
    assert "d/twin (no task, active, " in err
    assert "c/twin (Refunds, " in err
    assert json.loads(ace("show", "d/twin", "--json")[1])["status"] == "active"
    assert json.loads(ace("show", "c/tw", "--json")[1])["coordinationUuid"] == "c"
    assert ace("show", "e/twin")[0] == 2


def test_the_inbox_lists_questions_and_answer_answers_them(client: Client, ace: Ace) -> None:
    start(client, "s-1", "50 EUR\n\x1b[31mplease")
    code, out, _ = ace("inbox")
    assert (code, out.splitlines()) == (
        0,
        [
            "s-1  judge asks ann",
            "    \\x1b[31mplease",  # what triage answered
            "    50 EUR",
            "    \\x1b[31mplease",
            '    answer: {"type": "boolean"}',
        ],
    )
    (question,) = json.loads(ace("inbox", "--json")[1])["questions"]
    assert (question["asks"], question["answerSchema"]) == ("ann", {"type": "boolean"})
    assert ace("inbox", "--user", "bob")[1] == "Nothing waits for a person.\n"
    code, out, err = ace("answer", "s-", "perhaps")
    assert (code, out) == (2, "")
    assert err.startswith("ace: the answer is refused: ")
    assert ace("answer", "s-", " ")[0] == 2
    for words in (("--agnt", "judge"), ("--agnt",), ("- yes",), ()):  # no option is an answer
        assert ace("answer", "s-", *words)[0] == 2
    _, bound, _ = app.parse_args(["answer", "s-", "--", "--agnt"])
    assert bound.args == ("s-", "--agnt")
    of_the_agent = question["sessionAgentUuid"]
    assert ace("answer", of_the_agent, "true")[:2] == (
        0,
        "Answered judge of session s-1, which asked ann.\n",
    )
    client.wait("c", "s-1", timeout=30)
    assert ace("answer", "s-1", "true")[::2] == (
        1,
        "ace: session s-1 waits for nobody: it is completed.",
    )
    assert ace("inbox")[1] == "Nothing waits for a person.\n"


def test_controls_say_what_they_did(client: Client, ace: Ace) -> None:
    start(client, "s-2")

    def said(*words: str) -> tuple[int, Sequence[str]]:
        code, out, err = ace(*words)
        return code, (out + err).splitlines()

    assert said("pause", "s-2") == (0, ["Session s-2 was in_progress and is paused."])
    assert said("resume", "s-2") == (0, ["Session s-2 was paused and is in_progress."])
    assert said("cancel", "s-2") == (
        2,
        ["ace: Cancel session s-2? Agents that have not ended never run. Say so with --yes."],
    )
    assert said("cancel", "s-2", "--yes") == (
        0,
        ["Session s-2 was in_progress and is cancelled.", "cancelled: judge, pay"],
    )
    assert said("cancel", "s-2", "--yes") == (0, ["Session s-2 is cancelled."])
    assert said("pause", "s-2")[0] == 1
    code, lines = said("retry", "s-2")
    assert (code, lines[0]) == (0, "Session s-2 was cancelled and is in_progress.")
    ace("answer", "s-2", "true")
    client.wait("c", "s-2", timeout=30)
    assert said("rerun", "s-2", "nobody", "--yes") == (
        2,
        ["ace: There is no agent 'nobody' in the session; it has: triage, judge, pay."],
    )
    code, lines = said("rerun", "s-2", "judge", "--yes")
    assert (code, lines[0]) == (0, "Session s-2 was completed and is in_progress.")
    assert ace("cancel", "s-2", "--yes", "--json")[0] == 0
    code, lines = said("fork", "s-2", "--from", "judge", "--query", "60 EUR")
    copy = lines[0].split()[1]
    assert (code, lines[0].startswith(f"Session {copy} is a copy of s-2 that runs from judge")) == (
        0,
        True,
    )
    assert client.session("c", copy).task_query == "60 EUR"


def test_an_answer_is_for_one_question_alone(client: Client, ace: Ace) -> None:
    for uuid in ("q-1", "q-2"):
        start(client, uuid)
    agents = [client.session("c", uuid).waiting[0].session_agent_uuid for uuid in ("q-1", "q-2")]
    code, out, err = ace("answer", "q-", "true")
    assert (code, out) == (2, "")
    assert err == (
        f"ace: 'q-' means several questions: judge ({agents[1]}), judge ({agents[0]})."
        " Give the uuid of one, or its name with --agent."
    )
    # the uuid of a question may begin like that of another session
    start(client, agents[0][:12])
    code, _, err = ace("answer", agents[0][:11], "true")
    assert (code, "means several questions" in err) == (2, True)
    assert (
        ace("answer", agents[0], "true")[1] == "Answered judge of session q-1, which asked ann.\n"
    )
    assert ace("answer", "q-2", "true", "--agent", "pay")[::2] == (
        2,
        "ace: session q-2 waits for an answer of judge, not of 'pay'.",
    )
    assert ace("answer", "q-2", "true", "--agent", "judge")[0] == 0
    assert ace("answer", "nothing", "true")[0] == 2
    assert ace("answer", " ", "true")[0] == 2


@pytest.mark.parametrize(
    ("typed", "status"), [("y\n", "cancelled"), ("\n", "in_progress"), ("", "in_progress")]
)
def test_a_person_is_asked_before_something_is_discarded(
    client: Client, ace: Ace, monkeypatch: pytest.MonkeyPatch, typed: str, status: str
) -> None:
    start(client, "s-6")
    stdin = StringIO(typed)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    code, out, err = ace("cancel", "s-6")
    assert client.session("c", "s-6").status == status
    assert err.startswith("Cancel session s-6? Agents that have not ended never run. [y/N] ")
    if typed == "y\n":
        assert (code, out.splitlines()[0]) == (0, "Session s-6 was in_progress and is cancelled.")
    else:
        assert (code, err.endswith("ace: nothing was changed.")) == (1, True)


def test_watch_prints_each_change_and_then_the_result(client: Client, ace: Ace) -> None:
    start(client, "s-3")
    ace("answer", "s-3", "true")
    code, out, err = ace("watch", "s-3")
    assert (code, err.splitlines()[-1]) == (0, "pay: completed")
    assert out == "Output of triage:\n50 EUR\n\nOutput of judge:\ntrue\n\n50 EUR\n"
    client.cancel(client.session("c", start(client, "s-4")))
    code, out, err = ace("watch", "s-4")
    assert (code, out) == (1, "\n")
    assert err.splitlines()[-1].startswith("ace: the session is cancelled.")


def test_logs_are_the_events_of_a_session_in_order(client: Client, ace: Ace) -> None:
    start(client, "s-5", "\x1b[2J")

    def told(*options: str) -> list[list[str]]:
        code, out, _ = ace("logs", "s-5", *options)
        assert code == 0
        return [line.split("  ", 1)[1].split()[:4] for line in out.splitlines()]

    begun = [
        ["session", "created", "\\x1b[2J"],
        ["triage", "started", "attempt", "1"],
        ["triage", "completed", "attempt", "1,"],
        ["judge", "asks", "ann"],
    ]
    assert told() == begun
    ace("answer", "s-5", "true")
    whole = told("--follow")
    assert whole[:3] == begun[:3]
    assert [line[:2] for line in whole[3:]] == [
        ["judge", "started"],
        ["judge", "completed"],
        ["pay", "started"],
        ["pay", "completed"],
        ["session", "completed"],
    ]
    rows = [json.loads(line) for line in ace("logs", "s-5", "--json")[1].splitlines()]
    assert [(row["agentName"], row["event"]) for row in rows[:2]] == [
        (None, "created"),
        ("triage", "started"),
    ]


def test_a_server_that_is_not_there_is_told_with_what_to_do(
    tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    def explained(*words: str) -> tuple[str, int]:
        with pytest.raises(Exception) as raised:
            app(list(words), result_action="return_value", exit_on_error=False, print_error=False)
        return explain(raised.value)

    message, code = explained("sessions", "--url", "http://127.0.0.1:9")
    assert code == 1
    assert message.startswith("ace: http://127.0.0.1:9/graphql does not answer (ConnectError")
    assert "Start a server: ace serve" in message
    folder = str(tmp_path)
    assert explained("sessions", "--data-dir", folder) == (
        f"ace: no server holds {folder}. Start one: ace serve --data-dir {folder}",
        1,
    )
    both = explained("sessions", "--data-dir", folder, "--url", "http://127.0.0.1:9")
    assert both == ("ace: give either --url or --data-dir.", 2)
    assert explained("sessions", "--url", "nonsense")[1] == 2
    assert explained("sessions", "--tenant", "#")[1] == 2
    assert capsys.readouterr().out == ""


def test_a_token_is_in_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    for token in ("secret token", "sécret", "secret"):
        monkeypatch.setenv("ACE_TOKEN", token)
        with pytest.raises(Exception) as raised:
            app(["sessions", "--url", "http://127.0.0.1:9"], exit_on_error=False, print_error=False)
        assert token not in explain(raised.value)[0]
