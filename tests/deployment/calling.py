"""Calls of the deployed API."""

import time
from dataclasses import dataclass
from typing import Any

from tests.deployment.stack import Stack

SECONDS = 120

CREATE_COORDINATION = """
mutation ($agents: [JSONCamelCase]) {
  insertUpdateCoordination(coordinationName: "desk", agents: $agents, updatedBy: "test") {
    coordination { coordinationUuid partitionKey }
  }
}"""

CREATE_TASK = """
mutation ($coordinationUuid: String!, $agentActions: JSONCamelCase) {
  insertUpdateTask(
    coordinationUuid: $coordinationUuid, taskName: "report", initialTaskQuery: "Hello",
    agentActions: $agentActions, updatedBy: "test"
  ) { task { taskUuid } }
}"""

EXECUTE = """
mutation ($coordinationUuid: String!, $taskUuid: String!, $taskQuery: String) {
  executeProcedureTaskSession(coordinationUuid: $coordinationUuid, taskUuid: $taskUuid,
      taskQuery: $taskQuery) {
    procedureTaskSession { sessionUuid }
  }
}"""

READ = """
query ($coordinationUuid: String!, $sessionUuid: String!) {
  session(coordinationUuid: $coordinationUuid, sessionUuid: $sessionUuid) {
    sessionUuid
    taskUuid
    coordinationUuid
    cost { microUsd }
    status
    logs
    sessionAgents { agentUuid sessionAgentUuid state inDegree agentOutput }
    sessionRuns { agentUuid asyncTaskUuid toolCalls model requests totalTokens }
  }
}"""


@dataclass(frozen=True)
class Client:
    """A caller of the deployed API with a token for some tenants."""

    stack: Stack
    token: str

    def answer(self, document: str, *, tenant: str = "acme", **variables: Any) -> dict[str, Any]:
        response = self.stack.request(
            "POST",
            f"/{tenant}/graphql",
            {"authorization": f"Bearer {self.token}"},
            json={"query": document, "variables": variables},
        )
        assert response.headers["content-type"].startswith("application/"), response.text
        return dict(response.json())

    def data(self, document: str, **variables: Any) -> dict[str, Any]:
        answer = self.answer(document, **variables)
        assert "errors" not in answer, answer
        return dict(answer["data"])


def wait_for(what: str, seen: Any) -> Any:
    """Return the first true result of `seen`."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if found := seen():
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not happen in {SECONDS} s; last: {seen()}")
