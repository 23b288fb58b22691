"""`ace` as a person uses it: a process with arguments, exit code and output."""

import contextlib
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from ai_coordination_engine.api.webhooks import tenant_key
from ai_coordination_engine.entrypoints.local.embedded import EmbeddedAws
from tests.kit.commands import ACE, ENVIRONMENT, ace, served

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "examples"


def post(url: str, query: str, **options: Any) -> httpx.Response:
    return httpx.post(url, json={"query": query}, timeout=30, **options)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([], "Runs several AI agents"),
        (["serve"], "Serve the API"),
        (["demo"], "run an example coordination"),
        (["examples"], "copy"),
        (["examples", "copy"], "Write an example"),
        (["run"], "Run one coordination file"),
        (["tables"], "create"),
        (["tables", "create"], "Create the tables"),
        (["schema", "print"], "Print the schema"),
        (["dlq"], "redrive"),
        (["dlq", "list"], "List what is in the dead-letter queue"),
        (["dlq", "redrive"], "Bring dead letters back"),
        (["webhook-key"], "Print the key"),
    ],
)
def test_every_command_has_help(command: list[str], expected: str) -> None:
    done = ace(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout


def test_help_loads_nothing_heavy() -> None:
    heavy = {"moto", "uvicorn", "graphene", "boto3", "botocore", "pynamodb", "httpx"}
    code = (
        "import sys, ai_coordination_engine.entrypoints.cli; sys.stdout.write('"
        " '.join(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert heavy & set(loaded) == set()


def test_version() -> None:
    from ai_coordination_engine import __version__

    assert ace("--version").stdout.strip() == __version__


def test_run_prints_the_result_and_shows_progress_beside_it() -> None:
    done = ace("run", str(EXAMPLES / "hello.yaml"))
    assert done.returncode == 0, done.stderr
    assert "HELLO" in done.stdout
    assert done.stderr.splitlines()[-1] == "shouter: completed"


def test_run_as_json_takes_another_query() -> None:
    done = ace("run", str(EXAMPLES / "hello.yaml"), "--json", "--query", "Ada")
    session = json.loads(done.stdout)
    assert (done.returncode, session["status"]) == (0, "completed")
    assert [
        (agent["agentName"], agent["state"], agent["final"]) for agent in session["agents"]
    ] == [
        ("greeter", "completed", False),
        ("shouter", "completed", True),
    ]


NASTY = "\x1b[31mred\x07 \u202egnp.exe [red]m[/red] :warning: 热泵 für 5 €"


@pytest.fixture
def nasty(tmp_path: Path) -> Path:
    """A run file whose agent answers what must not reach a terminal, and not every encoding can
    hold.
    """
    file = tmp_path / "nasty.yaml"
    agents = [
        {
            "agentUuid": "a",
            "agentName": "\x1b[2Jname",
            "runtime": {"kind": "function", "name": "echo"},
        }
    ]
    task = {"subtaskQueries": [{"agentUuid": "a", "subtaskQuery": NASTY}]}
    file.write_text(json.dumps({"coordination": {"agents": agents}, "task": task}))
    return file


def test_a_result_steers_no_terminal_and_fits_the_encoding(nasty: Path) -> None:
    command = [*ACE, "run", str(nasty)]
    done = subprocess.run(
        command, env=ENVIRONMENT | {"PYTHONIOENCODING": "cp1252"}, capture_output=True, check=False
    )
    shown = "\\x1b[31mred\\x07 \\u202egnp.exe [red]m[/red] :warning: \\u70ed\\u6cf5 für 5 €\n"
    assert (done.returncode, done.stdout.decode("cp1252")) == (0, shown)
    assert done.stderr.decode("cp1252").splitlines()[-1] == "\\x1b[2Jname: completed"


def test_json_is_exact_in_ascii_too(nasty: Path) -> None:
    done = ace("run", str(nasty), "--json", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert not set(done.stdout) & {"\x1b", "\x07"}
    assert json.loads(done.stdout)["agents"][0]["output"] == NASTY


def test_a_reader_that_goes_away_is_no_error(nasty: Path) -> None:
    process = subprocess.Popen(
        [*ACE, "run", str(nasty)],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    shown = process.stderr.read()
    assert (process.wait(timeout=10), shown.splitlines()[-1]) == (0, "\\x1b[2Jname: completed")
    process.stderr.close()


def test_a_session_that_fails_is_exit_code_1_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text(
        "coordination: {agents: [{name: a, runtime: {kind: function, name: broken}}]}\n"
        "task: {subtasks: [{agent: a, query: q}]}\n"
    )
    done = ace("run", str(file), ACE_FUNCTIONS='{"broken": "json:loads"}')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "ace: the session is failed. a: the function 'broken' failed: Type"
    )


def test_what_the_settings_do_not_allow_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "refused.yaml"
    file.write_text(
        "coordination:\n  agents:\n    - {name: one, runtime: {kind: function, name: nofn}}\n    -"
        " {name: two, runtime: {kind: http, url: 'https://agent.example/'}}\n    - {name: three,"
        " runtime: {kind: openai}}\n    - {name: four}\n    - {name: five}\ntask:\n  subtasks:"
        " [{agent: one, query: q}]\n  actions: {four: {function: {module: my, name: act}}, five:"
        " {function: {module: my, name: fine}}}\n"
    )
    done = ace("run", str(file), ACE_ACTION_FUNCTIONS='{"my.fine": "json:dumps"}')
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        (
            f"{file}:3:28: agent one: the function 'nofn' is not offered; `runtime.name` is one of:"
            " answer, echo, upper, word_count; see ACE_FUNCTIONS"
        ),
        (
            f"{file}:4:28: agent two: the URL of the agent at agent.example is not among those"
            " allowed by the settings; see ACE_HTTP_ALLOWED_URLS"
        ),
        (
            f"{file}:5:30: agent three: the model endpoint 'default' is not configured; configured:"
            " none; see ACE_OPENAI_ENDPOINTS"
        ),
        (
            f"{file}:10:30: agent four: the action function 'my.act' is not allowed; see"
            " ACE_ACTION_FUNCTIONS"
        ),
    ]


def test_what_the_api_warns_of_or_refuses_is_told_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "warned.yaml"
    text = (
        "coordination:\n"
        "  agents: [{name: a, runtime: {kind: function, name: echo}}]\n"
        "task:\n"
        "  subtasks: [{agent: a, query: q}]\n"
        "  actions: {a: {default_answer: x}}\n"
    )
    file.write_text(text)
    done = ace("run", str(file))
    warning = f"{file}:5:13: warning: without ask there is no effect of default_answer."
    assert (done.returncode, done.stdout, done.stderr.splitlines()[0]) == (0, "q\n", warning)
    file.write_text(text.replace("task:\n", 'task:\n  uuid: "a\\0b"\n'))
    done = ace("run", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    words = "uuid must have 1 to 256 bytes of printable characters, and no space at its ends."
    assert done.stderr.splitlines() == [f"{file}:4:9: {words}"]


def test_loopback_needs_no_proxy_whatever_the_environment_says(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(
        "coordination: {agents: [{name: a, retry: {attempts: 1}, runtime: {kind: openai}}]}\n"
        "task: {subtasks: [{agent: a, query: q}]}\n"
    )
    proxies = dict.fromkeys(("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY"), "socks5h://127.0.0.1:1")
    endpoints = '{"default": {"base_url": "http://127.0.0.1:9/v1", "model": "m"}}'
    done = ace("run", str(file), ACE_OPENAI_ENDPOINTS=endpoints, **proxies)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith(
        "a: the model endpoint 'default' cannot be reached: [Errno 111] Connection refused"
    )


def test_the_runtime_of_agents_without_one_is_told_where_there_are_any(tmp_path: Path) -> None:
    note = (
        "No model is configured: agents without a runtime are the built-in function echo, which"
        " answers its input."
    )
    file = tmp_path / "without.yaml"
    file.write_text(
        "coordination: {agents: [{name: a}]}\ntask: {subtasks: [{agent: a, query: q}]}\n"
    )
    assert note in ace("run", str(file)).stderr.splitlines()
    assert note not in ace("run", str(EXAMPLES / "hello.yaml")).stderr.splitlines()


def test_the_result_of_a_map_is_its_list_once(tmp_path: Path) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(
        "coordination: {agents: [{name: lister}, {name: worker, runtime: {kind: function, name:"
        " upper}}]}\n"
        "task:\n"
        "  subtasks:\n"
        """    - {agent: lister, query: '["ant", "bee"]'}\n"""
        "    - {agent: worker, query: 'About {item}'}\n"
        "  actions: {worker: {after: lister, map: lister}}\n"
    )
    done = ace("run", str(file))
    assert (done.returncode, done.stdout) == (0, '["ABOUT ANT", "ABOUT BEE"]\n')
    assert {"worker: completed", "worker[0]: completed", "worker[1]: completed"} <= set(
        done.stderr.splitlines()
    )


def test_a_wrong_file_is_exit_code_2_with_a_line_for_each_problem(tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "coordination: {agents: [{name: a}]}\ntask: {actions: {b: {}, a: {after: aa}}}\n"
    )
    done = ace("run", str(file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f'{file}:2:18: agent "b" is not defined',
        f'{file}:2:36: agent "aa" is not defined; did you mean "a"?',
    ]


def test_a_wrong_setting_is_named() -> None:
    done = ace("serve", ACE_WORKER_CONCURRENCY="many")
    assert done.returncode == 2
    assert done.stderr.startswith("ace: ACE_WORKER_CONCURRENCY: ")
    assert "Traceback" not in done.stderr


def test_what_is_wrong_within_a_setting_is_named_as_it_is_written() -> None:
    endpoints = {"mine": {"url": "http://127.0.0.1:1/v1"}, "Other": {"base_url": "nowhere"}}
    done = ace("serve", ACE_OPENAI_ENDPOINTS=json.dumps(endpoints))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "ace: ACE_OPENAI_ENDPOINTS.mine.base_url: Field required",
        (
            "ace: ACE_OPENAI_ENDPOINTS.Other.base_url: must be a URL that begins with https:// and"
            " a host"
        ),
    ]


@pytest.mark.parametrize(
    "command", [["serve"], ["run", str(EXAMPLES / "hello.yaml")], ["demo", "--exit"]]
)
def test_an_allow_list_that_cannot_work_is_refused_at_the_start(command: list[str]) -> None:
    functions = '{"good": "json:loads", "x": "nomodule:fn"}'
    done = ace(*command, ACE_FUNCTIONS=functions, ACE_ACTION_FUNCTIONS='{"my.act": "json:nothing"}')
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        (
            "ace: ACE_FUNCTIONS: 'x' (nomodule:fn) failed: ModuleNotFoundError: No module named"
            " 'nomodule'"
        ),
        (
            "ace: ACE_ACTION_FUNCTIONS: 'my.act' (json:nothing) failed: "
            "AttributeError: module 'json' has no attribute 'nothing'"
        ),
    ]


def test_a_structured_setting_that_is_no_json_is_named() -> None:
    done = ace("serve", ACE_ACTION_FUNCTIONS="{bad")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "ace: ACE_ACTION_FUNCTIONS: it is no JSON: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)\n"
    )


LOG = """
from ai_coordination_engine.entrypoints.local.server import log_to_stderr
from ai_coordination_engine.observability import logger
from ai_coordination_engine.settings import Settings
log_to_stderr(Settings())
logger.info("began")
logger.warning("lost")
"""


@pytest.mark.parametrize(
    ("level", "shown"),
    [(None, ["lost"]), ("INFO", ["began", "lost"]), ("warning", ["lost"]), ("ERROR", [])],
)
def test_warnings_are_shown_unless_the_level_says_otherwise(
    level: str | None, shown: list[str]
) -> None:
    environment = ENVIRONMENT | ({"ACE_LOG_LEVEL": level} if level else {})
    done = subprocess.run(
        [sys.executable, "-c", LOG], env=environment, capture_output=True, text=True, check=True
    )
    assert [json.loads(line)["message"] for line in done.stderr.splitlines()] == shown


def test_a_damaged_data_directory_says_which_file_and_what_its_removal_costs(
    tmp_path: Path,
) -> None:
    journal = tmp_path / "journal.jsonl"
    journal.write_text("{torn\n")
    done = ace("serve", "--port", "0", "--data-dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"ace: {journal}:1 is damaged. Repair that line, or remove the file: "
        "everything that this data directory holds is lost with it.\n"
    )


def test_an_unknown_setting_is_named_and_a_level_that_is_none_refused() -> None:
    done = ace("webhook-key", "acme", ACE_FUNCTION="{}", ACE_ZEBRA="1", ACE_LOG_LEVEL="loud")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "ace: ACE_FUNCTION is no setting; did you mean ACE_FUNCTIONS?",
        "ace: ACE_ZEBRA is no setting.",
        "ace: ACE_LOG_LEVEL: must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
    ]
    assert ace("webhook-key", "acme", ACE_LOG_LEVEL="debug", ACE_WEBHOOK_KEY="m").returncode == 0


def test_webhook_key_prints_the_key_of_one_tenant() -> None:
    keys = {
        tenant: ace("webhook-key", tenant, ACE_WEBHOOK_KEY="master").stdout
        for tenant in ("acme", "acme#eu")
    }
    assert keys == {tenant: tenant_key("master", tenant) + "\n" for tenant in keys}
    assert len(set(keys.values())) == 2
    unset = ace("webhook-key", "acme")
    assert (unset.returncode, unset.stdout) == (2, "")
    assert unset.stderr.startswith("ace: Set ACE_WEBHOOK_KEY ")
    assert ace("webhook-key", "a#b#c", ACE_WEBHOOK_KEY="master").returncode == 2


def test_schema_print_prints_sdl() -> None:
    done = ace("schema", "print")
    assert done.returncode == 0
    assert "executeProcedureTaskSession(" in done.stdout


def test_a_chosen_port_that_is_taken_is_a_clear_message() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = ace("serve", "--port", str(port))
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr == f"ace: Port {port} cannot be used: Address already in use. Choose another.\n"
    )


@pytest.mark.parametrize(("port", "rule"), [("65536", "<= 65535"), ("-1", ">= 0")])
def test_a_port_that_cannot_be_is_a_clear_message(port: str, rule: str) -> None:
    done = ace("serve", f"--port={port}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f'ace: Invalid value "{port}" for --port. Must be {rule}.')


def test_the_default_port_gives_way_when_it_is_taken() -> None:
    try:
        taken = socket.create_server(("127.0.0.1", 8000))
    except OSError:  # somebody else has it: as good
        taken = socket.socket()
    with taken:
        done = ace("demo", "--exit")
    assert done.returncode == 0, done.stderr
    assert "Port 8000 is busy; using " in done.stdout


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_serve_ends_promptly_when_told(ending: signal.Signals) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts what is in the background
    with served() as (process, url):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        assert post(url, "{ ping }").json()["data"]["ping"].startswith("Hello at ")
        head = b"POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{"
        address = ("127.0.0.1", int(url.split(":")[-1].split("/")[0]))
        hung, gone = socket.create_connection(address), socket.create_connection(address)
        for connection in (hung, gone):
            connection.sendall(head)
        gone.close()
        process.send_signal(ending)
        assert process.wait(timeout=5) == 0
        hung.close()
        assert process.stderr
        assert process.stderr.read() == ""


def test_serve_listens_on_loopback_and_refuses_other_names() -> None:
    with served() as (_, url):
        assert url.startswith("http://127.0.0.1:")
        assert post(url, "{ ping }", headers={"Host": "evil.example"}).status_code == 400


def test_sessions_survive_a_kill(tmp_path: Path) -> None:
    save = (
        'mutation { insertUpdateCoordination(coordinationUuid: "c", updatedBy: "t") { coordination'
        " { createdAt } } }"
    )
    read = '{ coordination(coordinationUuid: "c") { createdAt } }'
    with served("--data-dir", str(tmp_path)) as (process, url):
        saved = post(url, save).json()["data"]["insertUpdateCoordination"]["coordination"]
        process.kill()
        process.wait()
    with served("--data-dir", str(tmp_path)) as (_, url):
        assert post(url, read).json()["data"]["coordination"] == saved
        second = ace("serve", "--data-dir", str(tmp_path), "--port", "0")
        assert second.returncode == 1
        assert (
            second.stderr
            == f"ace: {tmp_path} is in use by another server; stop it or choose another"
            " directory.\n"
        )


def test_another_endpoint_is_used_when_the_standard_variable_names_one() -> None:
    keys = {
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    with EmbeddedAws() as aws:
        variables = {"AWS_ENDPOINT_URL": aws.endpoint_url, **keys}
        created = ace("tables", "create", **variables)
        assert created.returncode == 0, created.stderr
        assert "Created ace-sessions." in created.stdout.splitlines()
        assert ace("tables", "create", **variables).stdout == "All tables are there.\n"
        done = ace("run", str(EXAMPLES / "hello.yaml"), **variables)
        assert done.returncode == 0, done.stderr
        dynamodb = boto3.client(
            "dynamodb",
            endpoint_url=aws.endpoint_url,
            region_name="eu-west-1",
            aws_access_key_id="x",
            aws_secret_access_key="x",
        )
        assert dynamodb.scan(TableName="ace-session_agents")["Count"] == 2


class FakeModel(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that answers every question with one sentence."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = {
            "model": "fake",
            "choices": [
                {
                    "message": {"role": "assistant", "content": "Model says so."},
                    "finish_reason": "stop",
                }
            ],
        }
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_demo_uses_a_configured_model() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeModel) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = ace(
            "demo",
            "--exit",
            "--port",
            "0",
            OPENAI_BASE_URL=f"http://127.0.0.1:{server.server_port}/v1",
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert "Agents without a runtime ask the model endpoint 'default'." in done.stdout
    assert done.stdout.count("Model says so.") == 5


def talk(command: list[str], answers: list[bytes]) -> tuple[int, str]:
    """Run a command on a terminal and type an answer whenever it asks; its exit code and what it
    showed.
    """
    mine, theirs = pty.openpty()
    process = subprocess.Popen(
        command, env=ENVIRONMENT | {"TERM": "dumb"}, stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown, waiting = b"", list(answers)
    with contextlib.suppress(OSError):  # the end of a terminal
        while piece := os.read(mine, 4096):
            shown += piece
            if waiting and shown.count(b"asks ada: ") > len(answers) - len(waiting):
                os.write(mine, waiting.pop(0))
    os.close(mine)
    return process.wait(timeout=10), shown.decode().replace("\r\n", "\n")


def test_a_person_is_shown_what_the_agent_is_given_and_asked_until_the_answer_fits(
    tmp_path: Path,
) -> None:
    file = tmp_path / "ask.yaml"
    file.write_text(
        "coordination: {agents: [{name: writer}, {name: judge}]}\ntask:\n  subtasks: [{agent:"
        ' writer, query: A draft about bees}, {agent: judge, query: "Is it good?"}]\n  actions:'
        ' {judge: {after: writer, ask: ada, answer_schema: {enum: ["yes", "no"]}}}\n'
    )
    code, shown = talk([*ACE, "run", str(file)], [b"\n", b"perhaps\n", b"yes\n"])
    assert code == 0, shown
    assert "Session 0" in shown
    given = shown.index("judge is given:\n  Output of writer:\n  A draft about bees\n")
    assert given < shown.index("  Is it good?") < shown.index("judge asks ada: ")
    assert shown.count("judge asks ada: ") == 3
    assert re.search("judge +completed", shown)


def test_a_run_with_a_data_directory_says_what_is_open_from_before(tmp_path: Path) -> None:
    file = tmp_path / "ask.yaml"
    file.write_text(
        "coordination: {agents: [{name: a}]}\ntask: {name: Ask, actions: {a: {ask:"
        " ada}}}\nquery: q\n"
    )
    assert ace("run", str(file), "--data-dir", str(tmp_path / "data")).returncode == 1
    done = ace("run", str(EXAMPLES / "hello.yaml"), "--data-dir", str(tmp_path / "data"))
    assert done.returncode == 0, done.stderr
    (line,) = [
        line
        for line in done.stderr.splitlines()
        if line.startswith("Open from before, and going on: session ")
    ]
    assert line.endswith(" (Ask, dispatched)")


def test_an_answer_that_a_person_owes_needs_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "ask.yaml"
    file.write_text(
        "coordination: {agents: [{name: a}]}\ntask: {actions: {a: {ask: ada}}}\nquery: q\n"
    )
    done = ace("run", str(file))
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[-1] == "ace: a waits for an answer of ada; run it in a terminal."
    )


def test_without_a_terminal_the_default_answer_is_given(tmp_path: Path) -> None:
    file = tmp_path / "ask.yaml"
    file.write_text(
        "coordination: {agents: [{name: a, runtime: {kind: function, name: answer}}, {name: b}]}\n"
        "task:\n  subtasks: [{agent: b, query: q}]\n"
        "  actions: {a: {ask: ada, answer_within_seconds: 900, default_answer: fine}}\n"
    )
    done = ace("run", str(file))
    assert (done.returncode, done.stdout) == (0, "a:\nfine\n\nb:\nq\n"), done.stderr
    assert (
        "a asks ada, and there is no terminal: the default answer is given: fine"
        in done.stderr.splitlines()
    )


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {},
            (
                "No AWS region is set: set AWS_REGION, or region in the profile that AWS_PROFILE"
                " names."
            ),
        ),
        (
            {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"},
            "No AWS credentials are found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and the others.",
        ),
        ({"AWS_PROFILE": "nobody"}, "AWS_PROFILE names no profile of your AWS configuration."),
    ],
)
def test_an_account_that_is_not_named_is_asked_for(variables: dict[str, str], told: str) -> None:
    nothing = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **variables,
    }
    done = ace("tables", "create", **nothing)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"ace: {told}\n")
