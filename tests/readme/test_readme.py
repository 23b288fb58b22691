"""What the README states is run: its snippets against a server, its tables against the code."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from ai_coordination_engine.entrypoints.server import serving
from ai_coordination_engine.settings import Settings
from tests.node import installed, needs_node

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(mark: str) -> str:
    """The code block of the README that holds `mark`."""
    (found,) = [text for text in re.findall(r"```\w+\n(.*?)```", README, re.DOTALL) if mark in text]
    return str(found)


def run(*command: str, cwd: Path = ROOT, **environment: str) -> str:
    return subprocess.run(
        command, cwd=cwd, env={**os.environ, **environment}, check=True, capture_output=True, text=True, timeout=120
    ).stdout


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Settings(auth="local"), port=0) as running:
        run("bash", "-c", block("# tour: curl"), API=running.url)
        yield running.url


def test_the_curl_tour_makes_a_coordination_and_a_task(url: str) -> None:
    answers = run("bash", "-c", block("# tour: curl"), API=url)
    assert '"coordinationUuid":"brief"' in answers
    assert '"taskUuid":"one-page"' in answers
    assert "errors" not in answers


def test_the_python_tour_runs_a_session_to_its_end(url: str) -> None:
    lines = run(sys.executable, "-c", block("# tour: python"), API=url).splitlines()
    assert lines == ["completed", "OUTPUT OF RESEARCHER:", "FIND FACTS ABOUT HEAT PUMPS", "", "WRITE A PAGE"]


@needs_node
@pytest.mark.conformance
def test_the_typescript_tour_lists_the_sessions(url: str) -> None:
    packages = installed(HERE)
    shutil.copytree(packages, work := Path(mkdtemp(dir=packages.parent)), dirs_exist_ok=True, symlinks=True)
    try:
        (work / "tour.ts").write_text(block("// tour: typescript"), encoding="utf-8")
        run(sys.executable, "-c", block("# tour: python"), API=url)
        lines = run("node", "--import", "tsx", "tour.ts", cwd=work, API=url).splitlines()
    finally:
        shutil.rmtree(work)
    assert set(lines) == {"completed One page"}


def test_the_run_file_prints_its_result(tmp_path: Path) -> None:
    file = tmp_path / "hello.yaml"
    file.write_text(block("# hello.yaml"), encoding="utf-8")
    printed = run(str(Path(sys.executable).with_name("ace")), "run", str(file), cwd=tmp_path)
    assert printed == "OUTPUT OF GREETER:\nSAY HELLO TO THE WORLD\n\nSAY IT LOUDER\n"


def settings_table() -> str:
    """The configuration table, made from the settings."""
    rows = ["| variable | default | what it is |", "| --- | --- | --- |"]
    for name, setting in Settings.model_fields.items():
        default = setting.default
        shown = "" if default in ("", None, [], {}) else f"`{default}`".replace("'", '"')
        rows.append(f"| `ACE_{name.upper()}` | {shown} | {setting.description} |")
    return "\n".join(rows)


def test_the_configuration_table_is_that_of_the_settings() -> None:
    assert settings_table() in README, f"put this table into the README:\n{settings_table()}"
