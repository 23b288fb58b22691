"""Save a coordination and a task, start a session and wait for its end. See README.md."""

import os
import time
from collections.abc import Generator
from typing import Any

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

ENDED = {"completed", "failed", "cancelled", "timeout"}
SAVE = """
mutation ($agents: [JSONCamelCase], $subtasks: [JSONCamelCase], $actions: JSONCamelCase) {
  insertUpdateCoordination(coordinationUuid: "python-client", coordinationName: "Brief",
      agents: $agents,
      updatedBy: "client.py") { coordination { coordinationUuid } }
  insertUpdateTask(coordinationUuid: "python-client", taskUuid: "brief", taskName: "Brief",
      subtaskQueries: $subtasks, agentActions: $actions, updatedBy: "client.py") { task {
          taskUuid } }
}"""
START = """
mutation ($query: String) {
  executeProcedureTaskSession(coordinationUuid: "python-client", taskUuid: "brief",
      taskQuery: $query) {
    procedureTaskSession { sessionUuid }
  }
}"""
READ = """
query ($session: String!) {
  session(coordinationUuid: "python-client", sessionUuid: $session) {
    status logs sessionAgents { agentUuid state agentOutput }
  }
}"""


class Token(httpx.Auth):
    """Authenticates with a token (`AuthMode=JWT`)."""

    def __init__(self, token: str) -> None:
        self.token = token

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Add the token to a request."""
        request.headers["Authorization"] = f"Bearer {self.token}"
        yield request


class Signature(httpx.Auth):
    """Authenticates with a signature (`AuthMode=IAM`): AWS Signature Version 4 for API Gateway."""

    requires_request_body = True

    def __init__(self, region: str) -> None:
        credentials = Session().get_credentials()
        if credentials is None:
            raise SystemExit(
                "No AWS credentials are found; set AWS_PROFILE, or AWS_ACCESS_KEY_ID and the"
                " others."
            )
        self.signer = SigV4Auth(credentials, "execute-api", region)

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign the body, the host and the content type of a request."""
        headers = {name: request.headers[name] for name in ("Host", "Content-Type")}
        signed = AWSRequest(request.method, str(request.url), data=request.content, headers=headers)
        self.signer.add_auth(signed)
        request.headers.update(dict(signed.headers))
        yield request


class Client:
    """Sends GraphQL documents."""

    def __init__(self, url: str, auth: httpx.Auth | None = None) -> None:
        self.url = url
        self.http = httpx.Client(auth=auth, timeout=30)

    def send(self, document: str, **variables: object) -> dict[str, Any]:
        """Return the data of the response; raises `RuntimeError` with the API's errors."""
        answer = self.http.post(self.url, json={"query": document, "variables": variables}).json()
        if "data" not in answer or answer.get("errors"):
            raise RuntimeError(answer.get("errors") or answer)
        for warning in answer.get("extensions", {}).get("warnings", []):
            print("warning:", warning)
        data: dict[str, Any] = answer["data"]
        return data


def from_environment() -> Client:
    """Create the client according to `API`, `TOKEN` and `SIGN`."""
    token, region = os.environ.get("TOKEN"), os.environ.get("SIGN")
    auth: httpx.Auth | None = None
    if token:
        auth = Token(token)
    elif region:
        auth = Signature(region)
    return Client(os.environ.get("API", "http://127.0.0.1:8000/graphql"), auth)


def main() -> None:
    """Run one session and print the outputs of its agents."""
    client = from_environment()
    client.send(
        SAVE,
        agents=[{"agentUuid": "researcher"}, {"agentUuid": "writer", "agentName": "Writer"}],
        subtasks=[
            {"agentUuid": "researcher", "subtaskQuery": "Find facts about {topic}."},
            {"agentUuid": "writer", "subtaskQuery": "Write a page."},
        ],
        actions={"writer": {"predecessors": ["researcher"]}},
    )
    started = client.send(START, query='{"topic": "heat pumps"}')["executeProcedureTaskSession"]
    session_uuid = started["procedureTaskSession"]["sessionUuid"]
    while True:
        session = client.send(READ, session=session_uuid)["session"]
        if session["status"] in ENDED:
            break
        time.sleep(0.2)
    print("session", session["status"], session["logs"] or "")
    for agent in session["sessionAgents"]:
        print(f"{agent['agentUuid']} ({agent['state']}): {agent['agentOutput']}")


if __name__ == "__main__":
    main()
