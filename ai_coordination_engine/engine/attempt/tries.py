"""Decide how often to try an agent again whose attempts end without a result. Pure."""

from ai_coordination_engine.store.models import SessionAgent, SessionRun
from ai_coordination_engine.store.transitions.attempts import died_in_a_row, met_errors

MOST_LOST = 5  # attempts in a row whose process died; then the agent fails
SUSPECT = 2  # attempts in a row whose process died; then it runs alone, to attribute a crash


def why_hopeless(agent: SessionAgent, run: SessionRun | None) -> str | None:
    """Why the agent is not tried again after a lost attempt, or with a `run` that could not be
    concluded. None: it is tried again.
    """
    if run is not None:
        if (agent.resumed or 0) + 1 < MOST_LOST:
            return None
        return (
            f"Its attempt has a result, but {MOST_LOST} tries to end it died or met an error; the"
            " log says why."
        )
    if died_in_a_row(agent) >= MOST_LOST:
        return f"{MOST_LOST} attempts in a row ended without a result; the log says why."
    if met_errors(agent) >= MOST_LOST:
        return f"INTERNAL: {MOST_LOST} attempts met an unexpected error; the log says which."
    return None


def resumptions(agent: SessionAgent) -> int:
    """How often the action function was begun, or the result of the long job was handled."""
    return (agent.resumed or 0) + bool(agent.acting)


def why_not_resumed(agent: SessionAgent) -> str | None:
    """Why an attempt that has its result is not resumed. None: it is resumed."""
    if resumptions(agent) < MOST_LOST:
        return None
    what = "Its action function began" if agent.acting else "The end of its long job was taken up"
    return f"{what} {MOST_LOST} times without a result; the log says why."
