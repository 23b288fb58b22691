"""Save a coordination and a task, start a session and wait for its end. See README.md."""

import os
from collections.abc import Generator

import httpx
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.session import Session

from ai_coordination_engine.client import Client, operations

COORDINATION, TASK = "python-client", "brief"


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
        names = ("Host", "Content-Type")  # a request to connect has no content
        headers = {name: request.headers[name] for name in names if name in request.headers}
        signed = AWSRequest(request.method, str(request.url), data=request.content, headers=headers)
        self.signer.add_auth(signed)
        request.headers.update(dict(signed.headers))
        yield request


def from_environment() -> Client:
    """Create the client according to `API`, `TOKEN` and `SIGN`."""
    url, region = os.environ.get("API", "http://127.0.0.1:8000"), os.environ.get("SIGN")
    if region:
        return Client(url, auth=Signature(region))
    return Client(url, token=os.environ.get("TOKEN"))


def save(client: Client) -> None:
    """Save a researcher, a writer who waits for it, and what they do."""
    client.send(
        operations.insert_update_coordination(
            coordination_uuid=COORDINATION,
            coordination_name="Brief",
            agents=[{"agentUuid": "researcher"}, {"agentUuid": "writer", "agentName": "Writer"}],
            updated_by="client.py",
        )
    )
    client.send(
        operations.insert_update_task(
            coordination_uuid=COORDINATION,
            task_uuid=TASK,
            task_name="Brief",
            subtask_queries=[
                {"agentUuid": "researcher", "subtaskQuery": "Find facts about {topic}."},
                {"agentUuid": "writer", "subtaskQuery": "Write a page."},
            ],
            agent_actions={"writer": {"predecessors": ["researcher"]}},
            updated_by="client.py",
        )
    )


def main() -> None:
    """Run one session and print the outputs of its agents."""
    with from_environment() as client:
        save(client)
        started = client.start(COORDINATION, TASK, '{"topic": "heat pumps"}')
        session = client.wait(COORDINATION, started.session_uuid)
    print("session", session.status, session.logs or "")
    for agent in session.session_agents:
        print(f"{agent.agent_uuid} ({agent.state}): {agent.agent_output}")


if __name__ == "__main__":
    main()
