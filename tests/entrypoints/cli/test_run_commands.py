"""`ace run` and `ace demo` as processes: exit codes, output and questions."""

import contextlib
import json
import os
import pty
import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.kit.commands import ACE, ENVIRONMENT, EXAMPLES, ace


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
    """A run file whose agent answers with control characters and characters that encodings may
    lack.
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


def test_a_result_controls_no_terminal_and_fits_the_encoding(nasty: Path) -> None:
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
    lines = done.stderr.splitlines()
    assert not any(line.startswith("{") or "attempt failed" in line for line in lines)
    at = lines.index("warning: a function raised")
    assert lines[at + 1] == "Traceback (most recent call last):"
    logged = ace("run", str(file), ACE_FUNCTIONS='{"broken": "json:loads"}', ACE_LOG_LEVEL="INFO")
    found = [json.loads(line) for line in logged.stderr.splitlines() if line.startswith("{")]
    assert "attempt failed" in [each["message"] for each in found]
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
        "No model is configured: agents without a runtime run the built-in function echo, which"
        " returns its input."
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


class FakeModel(BaseHTTPRequestHandler):
    """An OpenAI-compatible endpoint that answers every question with the same sentence."""

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
    """Run a command on a terminal and type an answer to each question; return exit code
    and output.
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
    given = shown.index("Input of judge:\n  Output of writer:\n  A draft about bees\n")
    assert given < shown.index("  Is it good?") < shown.index("judge asks ada: ")
    assert shown.count("judge asks ada: ") == 3
    assert re.search("judge +completed", shown)


def test_a_run_with_a_data_directory_says_what_is_open_from_before(tmp_path: Path) -> None:
    file = tmp_path / "ask.yaml"
    file.write_text(
        "coordination: {agents: [{name: a}]}\ntask: {name: Ask, actions: {a: {ask:"
        " ada}}}\nquery: q\n"
    )
    kept = ("--data-dir", str(tmp_path / "data"), "--durability", "process")
    assert ace("run", str(file), *kept).returncode == 1
    done = ace("run", str(EXAMPLES / "hello.yaml"), *kept)
    assert done.returncode == 0, done.stderr
    (line,) = [
        line
        for line in done.stderr.splitlines()
        if line.startswith("Continuing an earlier session: ")
    ]
    assert line.endswith(" (Ask, dispatched)")


def test_an_answer_that_a_person_owes_needs_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / "ask.yaml"
    file.write_text(
        "coordination: {agents: [{name: a}]}\ntask: {actions: {a: {ask: ada}}}\nquery: q\n"
    )
    done = ace("run", str(file))
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ace: a waits for an answer from ada; run it in a terminal, or with --answer ada=TEXT."
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
        "a asks ada, and there is no terminal: using the default answer: fine"
        in done.stderr.splitlines()
    )
