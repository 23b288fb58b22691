"""`ace watch` on a terminal, beside a server that goes away and comes back."""

import contextlib
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest

from ai_coordination_engine.client import Client, operations
from ai_coordination_engine.entrypoints.cli.cli import app
from ai_coordination_engine.entrypoints.cli.finding import short_length
from ai_coordination_engine.entrypoints.local.address import address_of
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings
from tests.kit.commands import ACE, ENVIRONMENT

# it makes the terminal the one whose Ctrl-C it gets
THERE = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"
ACE_THERE = [*ACE[:2], f"{THERE}; {ACE[2]}"]
SESSION = "one-session"
SETTINGS = Settings(auth="local")


def start(url: str, agents: int = 2) -> None:
    """Start a session in which `asker` waits for ann, and then `agents` others run."""
    names = ["asker", *(f"agent-{number}" for number in range(agents))]
    with Client(url) as client:
        client.send(
            operations.insert_update_coordination(
                coordination_uuid="c",
                agents=[{"agentUuid": each, "agentName": each} for each in names],
                updated_by="me",
            )
        )
        actions = {each: {"predecessors": ["asker"]} for each in names[1:]}
        client.send(
            operations.insert_update_task(
                coordination_uuid="c",
                task_uuid="t",
                task_name="T",
                agent_actions=actions | {"asker": {"userInTheLoop": "ann"}},
                updated_by="me",
            )
        )
        client.start("c", "t", "go", session_uuid=SESSION)
        for view in client.watch("c", SESSION):
            if view.waiting:
                break


class OnTerminal:
    """A process on a terminal of a given size; `shown` is what it has written."""

    def __init__(self, command: list[str], rows: int, columns: int) -> None:
        self._mine, theirs = pty.openpty()
        self.resize(rows, columns)
        size_of_another = {"COLUMNS", "LINES"}  # a parallel run of the tests may set them
        environment = {n: value for n, value in ENVIRONMENT.items() if n not in size_of_another}
        self.process = subprocess.Popen(
            command,
            env=environment | {"TERM": "xterm"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)
        self.shown = ""

    def resize(self, rows: int, columns: int) -> None:
        size = struct.pack("HHHH", rows, columns, 0, 0)
        fcntl.ioctl(self._mine, termios.TIOCSWINSZ, size)

    def read_until(self, text: str, seconds: float = 30) -> str:
        """Read what is written from now on until `text` is in it; return that."""
        found, until = "", time.monotonic() + seconds
        while text not in found:
            assert time.monotonic() < until, self.shown + found
            if select.select([self._mine], [], [], 0.1)[0]:
                found += os.read(self._mine, 65536).decode()
        self.shown += found
        return found

    def type(self, keys: bytes) -> None:
        os.write(self._mine, keys)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def end(self) -> int:
        with contextlib.suppress(OSError):  # the end of a terminal
            while piece := os.read(self._mine, 65536):
                self.shown += piece.decode()
        os.close(self._mine)
        return self.process.wait(timeout=10)


def lines(shown: str) -> list[str]:
    """What was written, without what moves the cursor."""
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    return [line.rstrip() for line in plain.splitlines() if line.strip()]


def test_the_table_fits_the_window_and_the_session_outlives_ctrl_c() -> None:
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(serving(SETTINGS, port=0))
        start(running.url, agents=30)
        command = [*ACE_THERE, "watch", "one", "--url", running.url]
        terminal = stack.enter_context(OnTerminal(command, 12, 70))
        shown = lines(terminal.read_until("… 22 more agents"))
        assert shown[0] == f"asker asks ann: ace answer {SESSION} TEXT --url {running.url}"
        assert [line.split()[0] for line in shown[1:3]] == ["asker", "agent-0"]
        assert shown[1].endswith("asks ann")
        terminal.resize(6, 30)
        terminal.read_until("… 28 more agents")
        terminal.type(b"\x03")
        code = terminal.end()
        last = lines(terminal.shown)[-1]
        assert (code, last) == (
            130,
            f"Session {SESSION} goes on. Watch it again: ace watch {SESSION} --url {running.url}",
        )
        with Client(running.url) as client:
            assert not client.session("c", SESSION).has_ended


@pytest.fixture
def watching(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Iterator[threading.Thread]:
    """`ace watch` in a thread."""

    def watch() -> None:
        app(
            ["watch", SESSION, "--data-dir", str(tmp_path / "data")],
            result_action="return_value",
            exit_on_error=False,
            print_error=False,
        )

    yield threading.Thread(target=watch, daemon=True)


def test_it_goes_on_when_the_server_is_back(
    watching: threading.Thread, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    with serving(SETTINGS, port=0, data_dir=folder, durability="process") as running:
        start(running.url)
        watching.start()
        wait_for(capfd, "asker: wait_for_user_input")
    assert address_of(folder) is None
    wait_for(capfd, "The server does not answer. Waiting for it to come back.")
    with serving(SETTINGS, port=0, data_dir=folder, durability="process") as running:
        wait_for(capfd, "The server is back.")
        with Client(running.url) as client:
            (question,) = client.session("c", SESSION).waiting
            client.answer(question, "yes")
        watching.join(30)
    out, err = capfd.readouterr()
    assert not watching.is_alive()
    assert "agent-0: completed" in err
    assert out.startswith("agent-0:\nOutput of asker:\n")


def wait_for(capfd: pytest.CaptureFixture[str], text: str) -> None:
    """Wait until `text` is written to stderr."""
    seen, until = "", time.monotonic() + 30
    while text not in seen:
        assert time.monotonic() < until, seen
        threading.Event().wait(0.05)
        seen += capfd.readouterr().err


def test_as_many_characters_are_shown_as_tell_uuids_apart() -> None:
    assert short_length([]) == 8
    assert short_length(["0123456789", "0123456789"]) == 8
    assert short_length(["0123456789a", "0123456789b", "x"]) == 11
    assert short_length(["0123456789", "0123456789b"]) == 11
