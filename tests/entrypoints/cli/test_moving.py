"""The session of `ace demo` that runs while somebody looks."""

import threading
from dataclasses import replace

import pytest

from ai_coordination_engine.client import Client
from ai_coordination_engine.entrypoints.cli import moving
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.entrypoints.run_file.run_file import parse_run_file
from ai_coordination_engine.settings import Settings

RUN = parse_run_file("""
coordination: {name: Two, agents: [{name: a}, {name: b}]}
task: {actions: {b: {after: a}}}
""")


def test_it_runs_again_and_again_only_while_somebody_watches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(moving, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(moving, "_SECONDS", (0, 0))
    with serving(moving.with_steady(Settings()), port=0) as running, Client(running.url) as client:

        def count() -> int:
            found = client.execute("{ sessionList { sessionList { status } } }")
            return len(found["sessionList"]["sessionList"])

        with moving.moving(running, RUN):
            threading.Event().wait(0.1)
            assert count() == 0
            stop = running.app.changes.watch(["anything"], lambda: None)
            while count() < 2:
                pass
            stop()


def test_its_agents_take_their_time_in_a_coordination_of_their_own() -> None:
    slow = moving.slowed(RUN)
    assert [each["runtime"]["seconds"] for each in slow.agents] == [4, 6]
    assert slow.coordination_uuid != RUN.coordination_uuid
    assert replace(slow, agents=RUN.agents).agent_actions == RUN.agent_actions
