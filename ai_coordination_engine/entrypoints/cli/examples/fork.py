"""A fork: the end of a session tries another instruction, its beginning is not paid for again.

Run it: python fork.py

It needs a server (ace serve, in another terminal; API names another one) and httpx, which comes
with the engine.
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
    """The data of the answer to a GraphQL document."""
    answer = httpx.post(API, json={"query": document, "variables": variables}, timeout=30).json()
    if answer.get("errors"):
        raise SystemExit(answer["errors"])
    data: dict[str, Any] = answer["data"]
    return data


def ended(session_uuid: str) -> dict[str, Any]:
    """The session, once it has ended."""
    while True:
        session: dict[str, Any] = send(READ, session=session_uuid)["session"]
        if session["status"] in ENDED:
            return session
        time.sleep(0.1)


def show(title: str, session: dict[str, Any]) -> None:
    """Print which agents ran in a session, and what its last agent answered."""
    agents = session["sessionAgents"]
    ran = [agent["agentUuid"] for agent in agents if agent["sessionRuns"]]
    print(f"{title}: {session['status']}; ran here: {', '.join(ran)}")
    print("  " + agents[-1]["agentOutput"].replace("\n", "\n  "))


def main() -> None:
    """Run a session, and its last agent again in a fork."""
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
