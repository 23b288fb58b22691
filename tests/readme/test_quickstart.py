"""The tour of the quickstart: each snippet runs in a process against a server."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.settings import Settings
from tests.kit.node import installed, needs_node
from tests.readme.documents import run, snippet

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Settings(auth="local"), port=0) as running:
        run("bash", "-c", snippet("# tour: curl"), API=running.url)
        yield running.url


def test_the_curl_tour_makes_a_coordination_and_a_task(url: str) -> None:
    answers = run("bash", "-c", snippet("# tour: curl"), API=url)
    assert '"coordinationUuid":"brief"' in answers
    assert '"taskUuid":"one-page"' in answers
    assert "errors" not in answers


def test_the_python_tour_runs_a_session_to_its_end(url: str) -> None:
    lines = run(sys.executable, "-c", snippet("# tour: python"), API=url).splitlines()
    assert lines == [
        "completed",
        "OUTPUT OF RESEARCHER:",
        "FIND FACTS ABOUT HEAT PUMPS",
        "",
        "WRITE A PAGE",
    ]


@needs_node
@pytest.mark.conformance
def test_the_typescript_tour_lists_the_sessions(url: str) -> None:
    packages = installed(HERE)
    work = Path(mkdtemp(dir=packages.parent))
    try:
        (work / "node_modules").symlink_to(packages / "node_modules")
        (work / "tour.mts").write_text(snippet("// tour: typescript"), encoding="utf-8")
        run(sys.executable, "-c", snippet("# tour: python"), API=url)
        lines = run("node", "--import", "tsx", "tour.mts", cwd=work, API=url).splitlines()
    finally:
        shutil.rmtree(work)
    assert set(lines) == {"completed One page"}
