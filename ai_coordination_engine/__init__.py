"""Run several AI agents on one job, in the order of their dependencies.

This package exports what agent functions and action functions need. An agent function takes an
`AgentRequest` and returns a text, a value that JSON can hold, or an `AgentResult`. An action
function takes an `ActionRequest` and may return an `ActionResult`. Both raise `AgentFailure` when
they fail. Importing the package imports nothing outside the standard library.
"""

from ai_coordination_engine.runtime_ports import (
    ActionRequest,
    ActionResult,
    AgentFailure,
    AgentRequest,
    AgentResult,
    PredecessorOutput,
    Question,
    Resumed,
    ToolContext,
)

__all__ = [
    "ActionRequest",
    "ActionResult",
    "AgentFailure",
    "AgentRequest",
    "AgentResult",
    "PredecessorOutput",
    "Question",
    "Resumed",
    "ToolContext",
]
__version__ = "0.1.0"
