"""A file that is damaged or goes away while a server runs: it is said once, and not retried."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from ai_coordination_engine.entrypoints.local.server import Running, serving
from ai_coordination_engine.settings import Settings
from tests.kit.files import damage
from tests.kit.servers import COORDINATION, START, TASK

FILE = "ace.db"


def asked(running: Running, query: str, **variables: Any) -> Any:
    return httpx.post(running.url, json={"query": query, "variables": variables}).json()


def health(running: Running) -> tuple[int, Any]:
    answered = httpx.get(f"{running.page}health")
    return answered.status_code, answered.json()


def test_a_server_that_can_work_is_healthy(tmp_path: Path) -> None:
    with serving(Settings(), port=0, data_dir=tmp_path / "data") as running:
        assert health(running) == (200, {"status": "ok", "processes": [os.getpid()]})
        assert httpx.post(f"{running.page}health").status_code == 405
        asked(running, COORDINATION, agents=[{"agentUuid": "a"}])
        assert (tmp_path / "data" / "ace.db-wal").exists()
    files = {each.name for each in (tmp_path / "data").iterdir() if each.is_file()}
    assert files == {FILE, "lock", "server"}  # a clean stop leaves no log


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda path: path.unlink(), f"{FILE} cannot be found any more"),
        (lambda path: path.with_name("ace.db-wal").unlink(), "ace.db-wal cannot be found any more"),
        (lambda path: damage(path, "messages"), f"{FILE} is damaged"),
    ],
    ids=["deleted", "without its log", "damaged"],
)
def test_a_server_whose_file_is_harmed_says_so_once(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    harm: Callable[[Path], None],
    said: str,
) -> None:
    with serving(Settings(), port=0, data_dir=tmp_path / "data") as running:
        asked(running, COORDINATION, agents=[{"agentUuid": "a"}])
        asked(running, TASK, actions={})
        harm(tmp_path / "data" / FILE)
        for number in range(3):
            (error,) = asked(running, START, s=f"s-{number}")["errors"]
            assert re.search(
                f"^{tmp_path}.*{said}.*Stop the server.* from a backup", error["message"]
            )
            assert error["extensions"] == {"code": "INTERNAL", "retryable": False}
        status, answer = health(running)
        assert (status, answer["status"], answer["message"]) == (503, "failed", error["message"])
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("CRITICAL", "the file cannot be used")
    ]
