"""An install uses the pinned versions, whatever has been released since.

The test has its own index. It runs the real Makefile on a project whose lock contains a
distribution that another one requires with an extra.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import flit_core
import pip
import pytest

ROOT = Path(__file__).parents[2]
PROJECT = """
[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"
[project]
name = "tried"
version = "1"
description = "A project to install."
dependencies = ["runs>=1"]
[project.optional-dependencies]
dev = ["checks>=1"]
"""
REQUIRES = {
    "runs": ["shared>=1"],
    "checks": ["covers[toml]>=1"],
    "covers": ['reads>=1; extra == "toml"'],
}
PINNED = ["runs", "checks", "covers", "reads", "shared"]
VENV = """#!/bin/sh
set -eu
"$1" -m venv --without-pip "$2"
cd "$2"/lib/python*/site-packages
echo "{pip}" > pip.pth
"""


def write_wheel(
    folder: Path, name: str, version: str, files: dict[str, bytes] | None = None
) -> str:
    """Write a tiny wheel; return its hash."""
    info = f"{name}-{version}.dist-info"
    lines = [f"Requires-Dist: {each}" for each in REQUIRES.get(name, [])]
    lines += ["Provides-Extra: toml"] * (name == "covers")
    contents = files or {f"{name}.py": f"version = {version!r}\n".encode()}
    contents |= {
        f"{info}/METADATA": (
            "\n".join(
                ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]
            ).encode()
        ),
        f"{info}/WHEEL": (
            b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        ),
    }
    record = "".join(
        f"{path},sha256={digest(data)},{len(data)}\n" for path, data in contents.items()
    )
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with ZipFile(path, "w") as wheel:
        for each, data in contents.items():
            wheel.writestr(each, data)
        wheel.writestr(f"{info}/RECORD", f"{record}{info}/RECORD,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def publish(
    index: Path, name: str, versions: list[str], files: dict[str, bytes] | None = None
) -> str:
    """Offer these versions of a distribution; return the line of a lock that pins the first."""
    folder = index / name.replace("_", "-")
    folder.mkdir(parents=True)
    hashes = {version: write_wheel(folder, name, version, files) for version in versions}
    links = [f'<a href="{path.name}">{path.name}</a>' for path in folder.glob("*.whl")]
    (folder / "index.html").write_text("\n".join(["<!doctype html><title>links</title>", *links]))
    return f"{name}=={versions[0]} --hash=sha256:{hashes[versions[0]]}"


def backend() -> dict[str, bytes]:
    """The files of the build backend, which builds the project offline."""
    top = Path(flit_core.__file__).parent
    return {
        path.relative_to(top.parent).as_posix(): path.read_bytes() for path in top.rglob("*.py")
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the real Makefile and a lock that was complete when it was written."""
    index, made = tmp_path / "simple", tmp_path / "project"
    (made / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / "Makefile", made)
    (made / "pyproject.toml").write_text(PROJECT)
    (made / "tried.py").write_text("")
    pins = [publish(index, name, ["1.0", "1.1", "2.0"]) for name in PINNED]
    pins.append(publish(index, "flit_core", ["3.12.0"], backend()))
    (made / ".ci/constraints.txt").write_text("\n".join(pins) + "\n")
    linked = tmp_path / "pip"
    linked.mkdir()
    (linked / "pip").symlink_to(Path(pip.__file__).parent)
    venv = made / ".ci/venv"
    venv.write_text(VENV.replace("{pip}", str(linked)))
    venv.chmod(0o755)
    return made


def make(project: Path, *variables: str) -> subprocess.CompletedProcess[str]:
    """Run `make install` with only the test's index reachable."""
    return run(project, "make", "install", f"PYTHON={sys.executable}", *variables)


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(("PIP_", "MAKE"))
    }
    index = (project.parent / "simple").as_uri()
    environment |= {"PIP_INDEX_URL": index, "PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1"}
    return subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def installed(project: Path) -> dict[str, str]:
    pairs = [
        each.name.removesuffix(".dist-info").split("-")
        for each in project.glob(".venv/lib/*/*/*.dist-info")
    ]
    return {each[0]: each[1] for each in pairs}


def test_an_install_takes_what_is_pinned_though_everything_was_released_since(
    project: Path,
) -> None:
    done = make(project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert installed(project) == dict.fromkeys(PINNED, "1.0") | {
        "flit_core": "3.12.0",
        "tried": "1",
    }
    assert "No broken requirements found." in done.stderr


def test_the_lambda_package_takes_what_is_pinned_too(project: Path) -> None:
    shutil.copy(ROOT / ".ci/package", project / ".ci")
    shutil.copy(project / ".ci/constraints.txt", project / ".ci/constraints-lambda.txt")
    (project / "ai_coordination_engine").mkdir()
    done = run(project, sys.executable, ".ci/package", "--arch", "host", "--to", "build")
    assert done.returncode == 0, done.stderr
    packed = {
        path.name.removesuffix(".dist-info") for path in (project / "build").glob("*.dist-info")
    }
    assert packed == {f"{name}-1.0" for name in PINNED} | {"flit_core-3.12.0"}


def test_a_lock_that_lacks_something_fails_at_once(project: Path) -> None:
    lock = project / ".ci/constraints.txt"
    lock.write_text(
        "".join(
            line for line in lock.read_text().splitlines(keepends=True) if "shared==" not in line
        )
    )
    done = make(project)
    assert done.returncode != 0
    assert "runs 1.0 requires shared, which is not installed." in done.stderr
    assert not (project / ".venv/.stamp").exists()


@pytest.mark.skipif(pip.__version__ >= "25", reason="the fault was seen in pip 23 and 24")
def test_the_index_shows_what_resolving_would_do(project: Path) -> None:
    done = make(project, "LOCKED=-m pip install --quiet --require-hashes -r")
    assert done.returncode != 0
    assert "covers[toml]" in done.stderr
