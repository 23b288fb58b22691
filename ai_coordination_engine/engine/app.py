"""The application: what `bootstrap` wires together and every engine function takes."""

from dataclasses import dataclass

from ai_coordination_engine.ports import Clock, Queue, Runtimes, Wake
from ai_coordination_engine.settings import Settings
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.repository import Repository
from ai_coordination_engine.store.transitions import Transitions


@dataclass(frozen=True)
class App:
    """The settings, the store and the ports, one instance a process. Thread-safe."""

    settings: Settings
    records: Repository
    transitions: Transitions
    queue: Queue
    runtimes: Runtimes
    clock: Clock


def wake(agent: SessionAgent) -> Wake:
    """The message that wakes this session agent."""
    return Wake(agent.partition_key, agent.session_uuid, agent.session_agent_uuid)
