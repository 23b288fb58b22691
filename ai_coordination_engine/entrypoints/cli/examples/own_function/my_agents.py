"""An agent function and an action function."""

import json

from ai_coordination_engine import ActionRequest, ActionResult, AgentFailure, AgentRequest

GOOD = {"great", "good", "thank", "thanks", "love"}
BAD = {"broken", "bad", "angry", "refund", "late"}


def sentiment(request: AgentRequest) -> dict[str, object]:
    """Return `{"mood": …, "words": …}`; a function may return any value that JSON can hold."""
    words = [word.strip(".,!?").lower() for word in request.query.split()]
    if not words:
        raise AgentFailure("there is no mail to read", error_class="invalid_request")
    score = sum(word in GOOD for word in words) - sum(word in BAD for word in words)
    return {"mood": "angry" if score < 0 else "happy", "words": len(words)}


def route(request: ActionRequest) -> ActionResult:
    """Continue with the agent that fits the mood; the other one is skipped."""
    chosen = "apology" if json.loads(request.output)["mood"] == "angry" else "thanks"
    return ActionResult(successors=[each for each in request.successors if each == chosen])
