"""Run `ace` in a process of its own."""

import atexit
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

EXAMPLES = Path(__file__).parents[2] / "examples"
ACE = [sys.executable, "-c", "from ai_coordination_engine.entrypoints.cli.ace import main; main()"]
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if not name.startswith(("ACE_", "AWS_", "OPENAI_", "PYTEST"))
} | {"NO_COLOR": "1", "COLUMNS": "120"}


def ace(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `ace`, which a process has imported that forks it: its start took longest. Variables of
    Python itself need a new process.
    """
    if any(name.startswith("PYTHON") for name in variables):
        return subprocess.run(
            [*ACE, *arguments],
            env=ENVIRONMENT | variables,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    request = {"arguments": arguments, "variables": variables, "folder": str(Path.cwd())}
    with (
        TemporaryFile("w+") as out,
        TemporaryFile("w+") as err,
        socket.socket(socket.AF_UNIX) as connection,
    ):
        connection.settimeout(120)
        connection.connect(_forking())
        socket.send_fds(connection, [json.dumps(request).encode()], [out.fileno(), err.fileno()])
        connection.shutdown(socket.SHUT_WR)
        code = int(connection.recv(100))
        for each in (out, err):
            each.seek(0)
        return subprocess.CompletedProcess(["ace", *arguments], code, out.read(), err.read())


@cache
def _forking() -> str:
    """The socket of the process that runs `ace` in children of its own, until this one ends."""
    folder = TemporaryDirectory()
    path = f"{folder.name}/ace"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.kit.forked_commands", path],
        cwd=EXAMPLES.parent,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline() == b"listening\n"

    def end() -> None:
        process.communicate()
        folder.cleanup()

    atexit.register(end)
    return path


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
