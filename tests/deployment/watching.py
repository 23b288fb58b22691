"""Watch a deployed session with the npm client graphql-ws, and with the Python client."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any

from ai_coordination_engine.client import Client, operations
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


def seen_in_python(
    stack: Stack, token: str, *, tenant: str, of: str | None = None
) -> list[tuple[str, str]]:
    """Watch a session, or a new one, with the Python client, and answer its questions.

    Returns the statuses of the session, each with the state of its only agent.
    """
    url, socket = stack.url("/graphql"), stack.socket
    with Client(url, tenant=tenant, token=token, websocket_url=socket) as client:
        session_uuid = of or _started(client)
        seen = []
        for view in client.watch("watched", session_uuid):
            seen.append((view.status, view.session_agents[0].state))
            for question in view.waiting:
                client.answer(question, "yes")
    return seen


def _started(client: Client) -> str:
    client.send(
        operations.insert_update_coordination(
            coordination_uuid="watched", agents=[{"agentUuid": "a"}], updated_by="me"
        )
    )
    client.send(
        operations.insert_update_task(
            coordination_uuid="watched",
            task_uuid="t",
            task_name="T",
            agent_actions={"a": {"userInTheLoop": "ann"}},
            updated_by="me",
        )
    )
    return client.start("watched", "t", "go").session_uuid
