"""Watch a deployed session with the npm client graphql-ws."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from tests.deployment.calling import SECONDS
from tests.deployment.stack import Stack
from tests.kit.node import installed

HERE = Path(__file__).parent

ANSWER = """
mutation ($s: String!, $a: String!) {
  executeForUserInput(sessionUuid: $s, sessionAgentUuid: $a, userInput: "yes") { ok }
}"""


@contextmanager
def watching(stack: Stack, token: str, **given: str) -> Iterator[list[Any]]:
    """Watch a session with a client in Node until it has ended; yield what it sees."""
    packages = installed(HERE / "subscriber")
    script = packages / "watch.mjs"
    shutil.copy(HERE / "subscriber" / script.name, script)
    environment = {
        "PATH": os.environ["PATH"],
        "SOCKET": stack.socket,
        "TOKEN": token,
        **given,
    }
    seen: list[Any] = []
    with subprocess.Popen(["node", script], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        reader = Thread(target=lambda: seen.extend(map(json.loads, process.stdout or ())))
        reader.start()
        try:
            yield seen
            process.wait(timeout=SECONDS)
        finally:
            process.kill()
            reader.join()


def states(seen: list[Any]) -> list[str]:
    """The states of the agents when the session was seen last."""
    return [each["state"] for each in seen[-1]["sessionAgents"]] if seen else []
