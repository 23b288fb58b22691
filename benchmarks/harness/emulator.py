"""Run the AWS emulator ministack as a child process on loopback, on a free port.

It ends with the process that uses it.
"""

import os
import random
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3

PYTHON = Path(__file__).parents[2] / ".venv-ministack" / "bin" / "python"
REGION = "us-east-1"
START_SECONDS = 60
# Stops the emulator when stdin is closed, which also happens when the parent process is killed: the
# emulator must never be left running.
GUARD = '"$@" </dev/null & cat >/dev/null; kill $!; wait $!; kill -9 0'


@dataclass(frozen=True)
class Emulator:
    """The port and the log of an emulator, and clients for it."""

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
    """Start the emulator with all its files below `folder`.

    Raises `RuntimeError` with its log when it does not start.
    """
    emulator = Emulator(_free_port(), folder / "ministack.log")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(emulator.port),
        "IOT_MTLS_ENABLED": "0",
        # Enforce signatures and policies, so that functions have only the rights of their roles.
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
    """Return a port below those that systems give to whoever asks for any: nobody gets it by
    chance until the emulator has started.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with socket.socket() as listener, suppress(OSError):  # somebody has it
            listener.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("there is no free port")


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
    """Stop the emulator; its guard kills the function processes that it has started."""
    assert process.stdin
    process.stdin.close()
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
