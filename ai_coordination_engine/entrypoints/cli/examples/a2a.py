"""A task is exposed by the Agent2Agent protocol (A2A), and another system calls it.

Run it: python a2a.py

It needs httpx, which is installed with the engine, and a running server (`ace serve` in another
terminal). The environment variable API names another server.
"""

import os
from typing import Any
from uuid import uuid4

import httpx

API = os.environ.get("API", "http://127.0.0.1:8000/graphql")
AGENT = API.removesuffix("graphql") + "a2a"
HEADERS = {"A2A-Version": "1.0", "Content-Type": "application/a2a+json"}
EXPOSE = """
mutation ($agents: [JSONCamelCase], $subtasks: [JSONCamelCase], $actions: JSONCamelCase) {
  insertUpdateCoordination(coordinationUuid: "a2a", coordinationName: "A2A", agents: $agents,
      updatedBy: "a2a.py") {
    coordination { coordinationUuid } }
  insertUpdateTask(coordinationUuid: "a2a", taskUuid: "paint", taskName: "Paint",
      subtaskQueries: $subtasks, agentActions: $actions,
      exposeAs: {name: "paint", description: "Paint a thing", as: ["a2a"]},
      updatedBy: "a2a.py") { task { taskUuid } }
}"""
AGENTS = [
    {"agentUuid": "asker", "runtime": {"kind": "function", "name": "answer"}},
    {"agentUuid": "painter", "runtime": {"kind": "function", "name": "echo"}},
]
SUBTASKS = [
    {"agentUuid": "asker", "subtaskQuery": "Which colour for {thing}?"},
    {"agentUuid": "painter", "subtaskQuery": "{asker} paint on {thing}"},
]
ACTIONS = {"asker": {"userInTheLoop": "customer"}, "painter": {"predecessors": ["asker"]}}


def send(**message: Any) -> dict[str, Any]:
    """Send a message to the agent and return its task. A repeated message starts nothing twice."""
    body = {"message": {"messageId": str(uuid4()), "role": "ROLE_USER", **message}}
    answer = httpx.post(f"{AGENT}/message:send", json=body, headers=HEADERS, timeout=60)
    answer.raise_for_status()
    task: dict[str, Any] = answer.json()["task"]
    return task


def main() -> None:
    """Expose a task, start it, answer its question, and print its artifact."""
    variables = {"agents": AGENTS, "subtasks": SUBTASKS, "actions": ACTIONS}
    httpx.post(API, json={"query": EXPOSE, "variables": variables}).raise_for_status()
    task = send(parts=[{"data": {"thing": "the door"}}], metadata={"skill": "paint"})
    print(task["status"]["state"], task["status"]["message"]["parts"][0]["text"])
    task = send(taskId=task["id"], parts=[{"text": "Green"}])
    print(task["status"]["state"], task["artifacts"][0]["parts"][0]["text"])


main()
