"""Drive the web console in Chromium: a server, pages, run files, and functions that tests hold."""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, sync_playwright

from ai_coordination_engine import AgentFailure, AgentRequest, AgentResult, Question
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.entrypoints.run_file.run_file import parse_run_file
from ai_coordination_engine.settings import Settings

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not os.environ.get("CI"), reason="needs Chromium (always run in CI)"
)
SHOTS = Path(__file__).parents[2] / "build" / "console"
FUNCTIONS = {
    name: f"tests.kit.console:{name}"
    for name in ("hold", "fail_at_first", "say", "some", "write", "pay")
}
YES_OR_WHY_NOT = {"anyOf": [{"type": "boolean"}, {"type": "string"}]}

held = threading.Event()
"""Agents that `hold` go on when it is set."""
repaired = threading.Event()
"""Agents that `fail_at_first` succeed when it is set."""


def hold(request: AgentRequest) -> str:
    """Return the input when the test allows it."""
    if not held.wait(30):
        raise AgentFailure("nobody let it go on")
    return request.input


def fail_at_first(request: AgentRequest) -> str:
    """Fail until the test has repaired it."""
    if not repaired.is_set():
        raise AgentFailure("the register does not answer", retryable=False)
    return "repaired"


def say(request: AgentRequest) -> str:
    """Return `runtime.text`."""
    return str(request.runtime["text"])


def some(request: AgentRequest) -> str:
    """Return the input at once up to number 36, as `hold` does after that."""
    number = re.search(r"\d+", request.query)
    return request.input if number and int(number[0]) < 37 else hold(request)


def pay(request: AgentRequest) -> AgentResult:
    """Ask a person to approve a tool call, then make it, and say what it has used."""
    call = {"name": "pay", "arguments": {"amount": 250}}
    if request.resumed is None:
        asked = Question("May I pay?", YES_OR_WHY_NOT, details={"toolCalls": [call]})
        return AgentResult("", question=asked)
    made = {**call, "outcome": "completed", "duration_ms": 12, "result": "paid"}
    usage = {"input_tokens": 1200, "output_tokens": 34, "model": "gpt-4o-mini"}
    answered = f"answered {request.resumed.answer}"
    return AgentResult(answered, usage={**usage, "provider": "openai"}, tool_calls=[made])


def write(request: AgentRequest) -> str:
    """Write word after word until the test lets it end."""
    text = ""
    while not held.wait(0.05) and len(text) < 5_000:
        request.on_delta("word ")
        text += "word "
    return text


@contextmanager
def browser() -> Iterator[Browser]:
    """Run one Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def serve(port: int = 0, data_dir: Path | None = None) -> AbstractContextManager[Running]:
    """Run a server whose agents may be the functions of this module."""
    settings = Settings(auth="local", functions=FUNCTIONS)
    return serving(settings, port=port, data_dir=data_dir)


@dataclass(frozen=True)
class Site:
    """The console of one tenant on a server; None is the server's own."""

    running: Running
    endpoint_id: str | None = None

    @property
    def page(self) -> str:
        """The address of the console."""
        return self.running.page + (f"{self.endpoint_id}/" if self.endpoint_id else "")

    def start(self, text: str) -> str:
        """Start a run file; return the address of its session in the console."""
        run = parse_run_file(text)
        with Client(f"{self.page}graphql") as client:
            session_uuid = client.begin(run, print)
        return f"{self.page}#/session/{run.coordination_uuid}/{session_uuid}"

    def post(self, mutation: str, text: str) -> None:
        """Send a mutation about the task `t` of the coordination `c` of a run file."""
        run = parse_run_file(text)
        given = {"c": run.coordination_uuid, "t": run.task_uuid}
        sent = {"query": mutation, "variables": given}
        answered = httpx.post(f"{self.page}graphql", json=sent).json()
        assert "errors" not in answered, answered
