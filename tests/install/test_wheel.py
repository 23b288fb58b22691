"""The wheel contains all files that the code reads, and nothing else of the repository."""

import runpy
import subprocess
from pathlib import Path
from zipfile import ZipFile

import pytest
from flit_core.buildapi import build_wheel

ROOT = Path(__file__).parents[2]
PACKAGE = "ai_coordination_engine"


def test_the_wheel_holds_every_file_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with ZipFile(tmp_path / build_wheel(str(tmp_path))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    listed = subprocess.run(
        ["git", "ls-files", PACKAGE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.splitlines()) <= names
    assert {name for name in names if not name.startswith(PACKAGE + "/")} == set()
    kept = {"entrypoints/local/document.html", "console/index.html", "py.typed"}
    assert {f"{PACKAGE}/{name}" for name in kept} <= names


def test_the_lambda_package_has_no_console(tmp_path: Path) -> None:
    runpy.run_path(str(ROOT / ".ci" / "package"))["copy_package"](tmp_path)
    package = tmp_path / PACKAGE
    assert (package / "entrypoints" / "local" / "console.py").is_file()
    assert not (package / "console").exists()


def test_the_examples_are_found_at_the_top_too() -> None:
    inside = ROOT / PACKAGE / "entrypoints/cli/examples"
    assert (ROOT / "examples").resolve() == inside
