"""The stage of random histories: a home of its own, skewed clocks, and plans as tasks."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from moto import mock_aws

from ai_coordination_engine import backend
from ai_coordination_engine.engine.advance import maps
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.runtime_ports import ActionResult
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.transitions import counter_shards
from benchmarks.harness.memory import in_memory
from tests.kit.fakes import FakeClock
from tests.kit.homes import on_aws, on_sqlite
from tests.kit.iam import Iam
from tests.kit.plans import Plan
from tests.kit.stage import Stage, stage_of

ANSWER = 600  # seconds that a person has to answer
SECRETS = Random()  # for uuids and tokens; seeded to replay a history


@dataclass(frozen=True)
class SkewedClock:
    """A clock that is wrong by some seconds."""

    clock: FakeClock
    off: float

    def now(self) -> datetime:
        return self.clock.now() + timedelta(seconds=self.off)

    def wait(self, seconds: float, until: threading.Event | None) -> None:
        self.clock.wait(seconds, until)


@contextmanager
def staged(home: str) -> Iterator[Stage]:
    """Yield a stage for histories, on a home of its own: an AWS, or an SQLite file."""
    settings = Settings(auth="local", agent_timeout_seconds=30)
    with pytest.MonkeyPatch.context() as patched, ExitStack() as until_the_end:
        for name, value in {
            "ACCESS_KEY_ID": "x",
            "SECRET_ACCESS_KEY": "x",
            "DEFAULT_REGION": "us-east-1",
        }.items():
            patched.setenv(f"AWS_{name}", value)
        patched.setattr(backend, "FIRST_PAUSE", 0)
        patched.setattr("secrets.randbits", SECRETS.getrandbits)
        patched.setattr(
            "secrets.token_hex", lambda length: f"{SECRETS.getrandbits(8 * length):0{2 * length}x}"
        )
        # Small limits, so that small joins and maps use counter shards and pages, too.
        patched.setattr(counter_shards, "COUNTER_SHARD", 2)
        patched.setattr(maps, "PAGE", 2)
        if home == "sqlite":
            folder = until_the_end.enter_context(TemporaryDirectory())
            stage = stage_of(until_the_end.enter_context(on_sqlite(settings, Path(folder))))
        else:
            until_the_end.enter_context(mock_aws())
            until_the_end.enter_context(in_memory())
            app = on_aws(settings)
            iam = Iam(patched)  # applies to clients created from here on, not to those of the tests
            stage = stage_of(app)
            stage.iam = iam
        stage.home = home
        yield stage


def skewed(stage: Stage, off: float) -> App:
    """Return the stage's application with a skewed clock."""
    clock = SkewedClock(stage.clock, off)
    records = copy(stage.app.records)
    records.clock = clock
    return replace(
        stage.app,
        records=records,
        clock=clock,
    )


def define(stage: Stage, plan: Plan) -> tuple[str, str]:
    actions: dict[str, dict[str, Any]] = {}
    for name, node in plan.agents.items():
        action: dict[str, Any] = {"join": node.join}
        if node.join == "quorum":
            action["quorum"] = node.quorum
        if node.conditions:
            action["conditions"] = {
                each: "go" if plan.agents[each].over is None else "[0]" for each in node.conditions
            }
        if node.over is not None:
            items = {"items": "items"} if plan.agents[node.over].over is None else {}
            action["map"] = {"over": node.over, "join": node.map_join, **items}
        if node.asks:
            action["user_in_the_loop"] = "ann"
        if isinstance(node.asks, str):
            action["answer_within_seconds"] = ANSWER
        if node.asks == "default":
            action["default_answer"] = "as always"
        if node.acts:
            action["action_function"] = {"module_name": "m", "function_name": "f"}
        actions[name] = action
    stage.actions.functions["m.f"] = lambda request: ActionResult()
    graph = {name: node.before for name, node in plan.agents.items()}
    return stage.define(graph, actions=actions, on_failure=plan.on_failure)
