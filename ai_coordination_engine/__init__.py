"""A service that runs several AI agents on one job and keeps track of all of it.

What functions of one's own need is here: an agent function takes an `AgentRequest` and returns
text, anything that JSON can hold, or an `AgentResult`; an action function takes an `ActionRequest`
and may return an `ActionResult`. Both raise `AgentFailure`. Importing this package loads nothing
but the standard library.
"""

from ai_coordination_engine.ports import (
    ActionRequest,
    ActionResult,
    AgentFailure,
    AgentRequest,
    AgentResult,
    PredecessorOutput,
)

__all__ = [
    "ActionRequest",
    "ActionResult",
    "AgentFailure",
    "AgentRequest",
    "AgentResult",
    "PredecessorOutput",
]
__version__ = "0.1.0"
