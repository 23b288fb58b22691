"""The wheel of the project, installed into an environment of its own."""

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distribution
from pathlib import Path

import pytest
from flit_core.buildapi import build_wheel
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
EVERYTHING = Path(sysconfig.get_path("purelib"))
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("ACE_", "AWS_", "OPENAI_", "PYTEST", "PYTHON"))
} | {"NO_COLOR": "1", "COLUMNS": "120"}


@dataclass(frozen=True)
class Installed:
    """An environment with only the wheel; other importable packages are in the folder `others`."""

    bin: Path

    def run(
        self, *command: str, cwd: Path, others: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment outside of any checkout."""
        environment = (
            ENVIRONMENT | {"PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"} | variables
        )
        if others:
            environment["PYTHONPATH"] = f"{others}{os.pathsep}{variables.get('PYTHONPATH', '')}"
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The wheel, built and installed with pip, without its dependencies."""
    folder = tmp_path_factory.mktemp("installed")
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        wheel = folder / build_wheel(str(folder))
    finally:
        os.chdir(before)
    venv = folder / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--disable-pip-version-check",
        "--python",
        str(venv / "bin/python"),
    ]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-compile", "--no-deps", "--no-index", str(wheel)],
        check=True,
    )
    return Installed(venv / "bin")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel requires without an extra, importable."""
    return linked(tmp_path_factory.mktemp("base"), required("ai-coordination-engine"))


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel requires with its extra for one machine, importable."""
    return linked(tmp_path_factory.mktemp("local"), required("ai-coordination-engine", "local"))


def required(name: str, extra: str = "") -> list[str]:
    """Return the names of what an installed distribution requires."""
    requirements = map(Requirement, distribution(name).requires or ())
    return [
        each.name
        for each in requirements
        if not each.marker or each.marker.evaluate({"extra": extra})
    ]


def linked(folder: Path, names: Iterable[str]) -> Path:
    """Return a folder with these distributions and all that they require, from this environment."""
    waiting, seen = list(names), set[str]()
    while waiting:
        if (name := waiting.pop()) in seen:
            continue
        seen.add(name)
        waiting += required(name)
        files = distribution(name).files or ()
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(EVERYTHING / top)
    return folder
