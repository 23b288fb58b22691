"""Records together with those below them, as `wait`, `watch` and the inbox answer them."""

from typing import Literal

from ai_coordination_engine.client.model import Page
from ai_coordination_engine.client.operation import UNSET, Operation, Unset
from ai_coordination_engine.client.records import Session, SessionAgent

ENDED = frozenset({"completed", "failed", "timeout", "cancelled"})
"""The statuses of a session that has ended."""

_SESSION = (
    """
{kind} sessionView($coordinationUuid: String!, $sessionUuid: String!) {
  session(coordinationUuid: $coordinationUuid, sessionUuid: $sessionUuid) {
    ...Session sessionAgents { ...SessionAgent } }
}"""
    + Session.fragment
    + SessionAgent.fragment
)
_INBOX = (
    """
query inbox($userInTheLoop: String, $coordinationUuid: String, $cursor: String) {
  userInbox(userInTheLoop: $userInTheLoop, coordinationUuid: $coordinationUuid, cursor: $cursor) {
    records: sessionAgentList { ...SessionAgent agentInput } nextCursor }
}"""
    + SessionAgent.fragment
)


class SessionView(Session):
    """A session and its agents, in the order of the task."""

    session_agents: list[SessionAgent]

    @property
    def has_ended(self) -> bool:
        """Whether the status is final; only a retry or a rerun changes it then."""
        return self.status in ENDED

    @property
    def waiting(self) -> list[SessionAgent]:
        """The agents that wait for a person."""
        return [each for each in self.session_agents if each.state == "wait_for_user_input"]


class Question(SessionAgent):
    """An agent that waits for a person, with the input that the person needs to decide."""

    agent_input: str | None


def id_of(asked: object) -> str | Unset:
    """The id of what an agent's runtime asks, so that its answer answers nothing else."""
    question = getattr(asked, "question", None)
    return question["id"] if isinstance(question, dict) and "id" in question else UNSET


def session_view(
    coordination_uuid: str, session_uuid: str, kind: Literal["query", "subscription"] = "query"
) -> Operation[SessionView | None]:
    """The session with its agents; None if it does not exist."""
    variables = {"coordinationUuid": coordination_uuid, "sessionUuid": session_uuid}
    document = _SESSION.replace("{kind}", kind)
    return Operation(
        "sessionView", document, variables, ("session",), SessionView | None, repeatable=True
    )


def inbox(user_in_the_loop: str | None, coordination_uuid: str | None) -> Operation[Page[Question]]:
    """One page of the agents that wait for a person."""
    variables = {"userInTheLoop": user_in_the_loop, "coordinationUuid": coordination_uuid}
    return Operation("inbox", _INBOX, variables, ("userInbox",), Page[Question], repeatable=True)
