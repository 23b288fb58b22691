"""Run the examples that call the API as a person would."""

import os
import subprocess
import sys
from pathlib import Path

from ai_coordination_engine.entrypoints.cli.example_files import example
from tests.kit.node import installed

HERE = Path(__file__).parent
TSC = [
    *("--noEmit", "--strict", "--noUncheckedIndexedAccess"),
    *("--target", "es2022", "--module", "nodenext", "--types", "node"),
]

# What both clients print.
PAGE = [
    "session completed",
    "researcher (completed): Find facts about heat pumps.",
    "writer (completed): Output of researcher:",
    "Find facts about heat pumps.",
    "",
    "Write a page.",
]


def python(folder: Path, name: str, script: str, **variables: str) -> list[str]:
    """Copy an example into `folder` and run a script of it; return the lines that it prints."""
    written = example(name).copy(folder)
    return _printed(
        folder, sys.executable, str(written / script if script else written), **variables
    )


def typescript(folder: Path, name: str, script: str, **variables: str) -> list[str]:
    """As `python`, for a script that the compiler checks first."""
    written = example(name).copy(folder)
    (written / "node_modules").symlink_to(installed(HERE) / "node_modules")
    assert _printed(written, "node_modules/.bin/tsc", *TSC, script) == []
    return _printed(written, "node", "--import", "tsx", script, **variables)


def _printed(folder: Path, *command: str, **variables: str) -> list[str]:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return [line.rstrip() for line in done.stdout.splitlines()]
