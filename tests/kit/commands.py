"""Run `ace` in a process of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
ACE = [sys.executable, "-c", "from ai_coordination_engine.entrypoints.cli.ace import main; main()"]
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("ACE_", "AWS_", "OPENAI_", "PYTEST"))
} | {"NO_COLOR": "1", "COLUMNS": "120"}


def ace(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*ACE, *arguments],
        env=ENVIRONMENT | variables,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@contextmanager
def served(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `ace serve`; yield the process and the address of its API."""
    command = [*ACE, "serve", "--port", "0", *arguments]
    process = subprocess.Popen(
        command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout
    assert process.stderr
    try:
        url = next(line.split()[-1] for line in process.stdout if line.startswith("API:"))
        yield process, url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
