"""What names a session, and an agent in it: records of the API, or keys made of uuids."""

from dataclasses import dataclass
from typing import Protocol


class OfSession(Protocol):
    """A session, the answer of a start or of a question, or a `SessionKey`."""

    @property
    def coordination_uuid(self) -> str:
        """The coordination's uuid."""

    @property
    def session_uuid(self) -> str:
        """The session's uuid."""


class OfAgent(Protocol):
    """A session agent, the answer of a question, or an `AgentKey`."""

    @property
    def session_uuid(self) -> str:
        """The session's uuid."""

    @property
    def session_agent_uuid(self) -> str:
        """The session agent's uuid."""


@dataclass(frozen=True, slots=True)
class SessionKey:
    """The uuids of a session."""

    coordination_uuid: str
    session_uuid: str


@dataclass(frozen=True, slots=True)
class AgentKey:
    """The uuids of a session agent."""

    session_uuid: str
    session_agent_uuid: str
