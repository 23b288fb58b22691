"""Texts never control the terminal; neither an encoding nor a closed pipe loses a result."""

import json
import os
import subprocess
import sys
import unicodedata
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper
from typing import Any

import pytest
from rich.live import Live

from ai_coordination_engine.entrypoints.cli.output import (
    VisibleLog,
    on_one_line,
    visible,
    visible_json,
    write_json,
)
from ai_coordination_engine.entrypoints.cli.progress import Progress
from ai_coordination_engine.entrypoints.cli.session_view import SessionView
from ai_coordination_engine.entrypoints.cli.terminal import Terminal
from tests.kit import views

HARMLESS = "\t\n"
OVERRIDES = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
CONTROLS = [chr(code) for code in range(0x110000) if unicodedata.category(chr(code)) == "Cc"]
TERMINAL_CONTROLS = [each for each in CONTROLS if each not in HARMLESS] + list(OVERRIDES)


@pytest.mark.parametrize("character", TERMINAL_CONTROLS, ids=lambda each: f"{ord(each):04x}")
def test_what_controls_a_terminal_is_shown_as_an_escape(character: str) -> None:
    shown = visible(f"a{character}b")
    assert (
        shown
        == "a"
        + (f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}")
        + "b"
    )
    written = visible_json(json.dumps(character, ensure_ascii=False), "utf-8")
    assert (json.loads(written), written.isprintable()) == (character, True)


@pytest.mark.parametrize(
    "text", ["", "a\tb\n", "a\r\nb", "热泵 für 5 €", "👩‍🔬", "\u200fשלום", "\\x1b [red]:warning:"]
)
def test_other_text_is_left_alone(text: str) -> None:
    assert visible(text) == text


def test_a_name_begins_no_line_of_its_own() -> None:
    assert (
        on_one_line("a\nb: completed\r\n\tc\u2028d\x1b[2J")
        == r"a\x0ab: completed\x0d\x0a\x09c\u2028d\x1b[2J"
    )


@pytest.mark.parametrize(
    "encoding", ["ascii", "cp1252", "latin-1", "utf-8", "utf-16", "gb18030", "shift_jis"]
)
def test_json_can_be_written_in_every_encoding(
    encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = {"a": "热泵 für 5 € 😀 \x1b[31m \x7f \x9b \u202e \ud800"}
    with TextIOWrapper(open(os.devnull, "wb"), encoding=encoding, errors="strict") as real:
        wanted = StringIO()
        monkeypatch.setattr(
            wanted, "write", lambda text: (real.write(text), StringIO.write(wanted, text))[1]
        )
        monkeypatch.setattr(
            sys,
            "stdout",
            type("Out", (), {"encoding": encoding, "write": wanted.write, "flush": real.flush}),
        )
        write_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(wanted.getvalue()) == value
    assert not set(wanted.getvalue()) & set(TERMINAL_CONTROLS)


def shown_by(view: SessionView, **options: Any) -> str:
    console = Terminal()
    console.file = StringIO()
    for name, value in options.items():
        setattr(console, name, value)
    with Progress(console) as progress:
        progress.show(view)
    console.print("[red]output[/red] :warning: \x1b[31m")
    return console.file.getvalue()


@pytest.mark.parametrize("on_a_terminal", [False, True])
def test_progress_shows_names_notes_and_outputs_as_they_are(on_a_terminal: bool) -> None:
    agent = views.agent(
        "1", "completed", agent_name="[b]a\nb\x1b]0;title\x07", notes="note\x1b[2J [i]x"
    )
    shown = shown_by(views.view([agent]), _force_terminal=on_a_terminal, no_color=True)
    assert "[b]a\\x0ab\\x1b]0;title\\x07" in shown
    assert "[red]output[/red] :warning: \\x1b[31m" in shown
    assert "\x1b]" not in shown
    assert "\x1b[31m" not in shown
    assert ("note\\x1b[2J [i]x" in shown) == on_a_terminal


def test_progress_says_once_why_an_agent_waits() -> None:
    console = Terminal()
    console.file = StringIO()
    waits = views.agent("a", notes="failed once", why="It waits.\nUntil noon.")
    with Progress(console) as progress:
        for agent in (
            replace(waits, why=None),
            waits,
            waits,
            replace(waits, why=None),
            views.agent("a", "failed"),
        ):
            progress.show(views.view([agent]))
    assert console.file.getvalue().splitlines() == [
        "a: pending. failed once",
        r"a: pending. It waits.\x0aUntil noon.",
        "a: failed",
    ]


def test_a_log_beside_shown_progress_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    real = TextIOWrapper(BytesIO(), encoding="utf-8")
    monkeypatch.setattr(sys, "stderr", real)
    console = Terminal(stderr=True)
    console.file, console._force_terminal = real, True
    with Live(console=console):  # it stands before the stream, without an encoding
        assert sys.stderr is not real
        VisibleLog().write('{"message": "für"}\n')
    real.flush()
    assert '{"message": "für"}' in real.buffer.getvalue().decode()  # type: ignore[attr-defined]


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}


def run(
    code: str, redirected: str = "", *, stdout: int = subprocess.PIPE, **environment: str
) -> subprocess.CompletedProcess[bytes]:
    """Run code in a process that imports `output`."""
    head = "from ai_coordination_engine.entrypoints.cli.output import *\nprepare()\n"
    show = f"def show(): from {Terminal.__module__} import Terminal; Terminal().print('x')\n"
    program = f"{head}{show}{code}\nsys.exit(bool(close()))"
    command = ["sh", "-c", f'"$@" {redirected}', "sh", sys.executable, "-c", program]
    return subprocess.run(
        command,
        env=BUFFERED | environment,
        stdout=stdout,
        stderr=subprocess.PIPE,
        check=False,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("ascii", b"\\u70ed f\\xfcr 5 \\u20ac \\U0001f600 \\ud800\n"),
        ("cp1252", b"\\u70ed f\xfcr 5 \x80 \\U0001f600 \\ud800\n"),
        ("ascii:strict", b"\\u70ed f\\xfcr 5 \\u20ac \\U0001f600 \\ud800\n"),
        ("utf-8", "热 für 5 € 😀 ".encode() + b"\\ud800\n"),
    ],
)
def test_what_an_encoding_lacks_is_escaped_on_both_streams(encoding: str, written: bytes) -> None:
    text = "热 für 5 € 😀 \ud800"
    done = run(f"write({text!a}); write_error({text!a})", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout, done.stderr) == (0, written, written)


@pytest.mark.parametrize(
    "code",
    ["[write('x' * 100) for _ in range(10_000)]", "sys.stdout.write('x')", "show(); sys.exit(3)"],
)
def test_a_closed_pipe_ends_quietly(code: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(code, stdout=writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_log_line_is_json_in_every_encoding(encoding: str) -> None:
    text = json.dumps({"message": "热 für \x9b31m \u202e 😀"}, ensure_ascii=False)
    done = run(f"VisibleLog().write({text!a})", PYTHONIOENCODING=encoding)
    line = done.stderr.decode(encoding)
    assert (json.loads(line), set(line) & set(TERMINAL_CONTROLS)) == (json.loads(text), set())


@pytest.mark.parametrize(
    ("closed", "shown"), [(">&-", (b"", b"y\n")), ("2>&-", (b"x\n", b"")), (">&- 2>&-", (b"", b""))]
)
def test_streams_that_were_closed_before_the_start_take_everything(
    closed: str, shown: tuple[bytes, bytes]
) -> None:
    done = run("write('x'); write_error('y')", closed)
    assert (done.returncode, done.stdout, done.stderr) == (0, *shown)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_under_the_output_is_an_error() -> None:
    done = run("sys.stdout.write('x')", ">/dev/full")
    assert (done.returncode, done.stderr) == (1, b"")
