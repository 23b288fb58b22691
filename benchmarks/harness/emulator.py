"""The AWS emulator ministack as a child process: on loopback, on a free port, gone when its user
ends.
"""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

PYTHON = Path(__file__).parents[2] / ".venv-ministack" / "bin" / "python"
REGION = "us-east-1"
START_SECONDS = 60
# Ends the emulator when its input ends, which happens, too, when its user is killed: it must never
# be left running.
GUARD = '"$@" </dev/null & cat >/dev/null; kill $!; wait $!; kill -9 0'


@dataclass(frozen=True)
class Emulator:
    """Where it listens, and clients for it."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, service: str) -> Any:
        session = boto3.session.Session("test", "test", region_name=REGION)
        return session.client(service, endpoint_url=self.url)


@contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Start it with all its files below `folder`; raises `RuntimeError` with its log when it does
    not answer.
    """
    emulator = Emulator(_free_port(), folder / "ministack.log")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(emulator.port),
        "IOT_MTLS_ENABLED": "0",
        # signatures and policies are enforced: the functions run with their roles alone
        "AUTH": "true",
        "AWS_DEFAULT_REGION": REGION,
        "MINISTACK_REGION": REGION,
    }
    with emulator.log.open("wb") as log:
        process = subprocess.Popen(
            ["sh", "-c", GUARD, "sh", PYTHON, "-m", "ministack"],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        _wait_until_it_answers(emulator)
        yield emulator
    finally:
        _stop(process)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_it_answers(emulator: Emulator) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{emulator.url}/_ministack/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"ministack did not start:\n{emulator.log.read_text()[-4000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it; its guard kills the function processes that it started."""
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
