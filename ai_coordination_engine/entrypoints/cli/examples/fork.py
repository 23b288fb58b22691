"""A fork runs the end of a session again with another instruction; its beginning is kept.

Run it: python fork.py

It needs httpx, which is installed with the engine, and a running server (`ace serve` in another
terminal). The environment variable API names another server.
"""

import os
import time
from typing import Any

import httpx

API = os.environ.get("API", "http://127.0.0.1:8000/graphql")
ENDED = {"completed", "failed", "cancelled", "timeout"}
SAVE = """
mutation ($agents: [JSONCamelCase], $subtasks: [JSONCamelCase], $actions: JSONCamelCase) {
  insertUpdateCoordination(coordinationUuid: "fork", coordinationName: "Fork", agents: $agents,
      updatedBy: "fork.py") {
    coordination { coordinationUuid } }
  insertUpdateTask(coordinationUuid: "fork", taskUuid: "slogan", taskName: "Slogan",
      subtaskQueries: $subtasks,
      agentActions: $actions, updatedBy: "fork.py") { task { taskUuid } }
}"""
START = """
mutation {
  executeProcedureTaskSession(coordinationUuid: "fork", taskUuid: "slogan",
      taskQuery: "a quiet bicycle") {
    procedureTaskSession { sessionUuid } }
}"""
FORK = """
mutation ($session: String!, $agent: String, $subtask: String) {
  forkSession(coordinationUuid: "fork", sessionUuid: $session, fromSessionAgentUuid: $agent,
      subtaskQuery: $subtask,
      updatedBy: "fork.py") { session { sessionUuid } }
}"""
READ = """
query ($session: String!) {
  session(coordinationUuid: "fork", sessionUuid: $session) {
    sessionUuid status logs
    sessionAgents { sessionAgentUuid agentUuid agentOutput sessionRuns { runUuid } }
  }
}"""


def send(document: str, **variables: object) -> dict[str, Any]:
    """Return the data of the response to a GraphQL document."""
    answer = httpx.post(API, json={"query": document, "variables": variables}, timeout=30).json()
    if answer.get("errors"):
        raise SystemExit(answer["errors"])
    data: dict[str, Any] = answer["data"]
    return data


def ended(session_uuid: str) -> dict[str, Any]:
    """Wait until the session has ended; return it."""
    while True:
        session: dict[str, Any] = send(READ, session=session_uuid)["session"]
        if session["status"] in ENDED:
            return session
        time.sleep(0.1)


def show(title: str, session: dict[str, Any]) -> None:
    """Print which agents ran in a session and the output of its last agent."""
    agents = session["sessionAgents"]
    ran = [agent["agentUuid"] for agent in agents if agent["sessionRuns"]]
    print(f"{title}: {session['status']}; ran here: {', '.join(ran)}")
    print("  " + agents[-1]["agentOutput"].replace("\n", "\n  "))


def main() -> None:
    """Run a session, then fork it to run its last agent again."""
    send(
        SAVE,
        agents=[{"agentUuid": "researcher"}, {"agentUuid": "writer"}],
        subtasks=[
            {"agentUuid": "researcher", "subtaskQuery": "What is good about it?"},
            {"agentUuid": "writer", "subtaskQuery": "Write a slogan. ({researcher})"},
        ],
        actions={"writer": {"predecessors": ["researcher"]}},
    )
    started = send(START)["executeProcedureTaskSession"]["procedureTaskSession"]
    first = ended(started["sessionUuid"])
    show("session", first)
    writer = first["sessionAgents"][-1]["sessionAgentUuid"]
    subtask = "Write a slogan that rhymes. ({researcher})"
    forked = send(FORK, session=first["sessionUuid"], agent=writer, subtask=subtask)["forkSession"][
        "session"
    ]
    show("fork", ended(forked["sessionUuid"]))


if __name__ == "__main__":
    main()
