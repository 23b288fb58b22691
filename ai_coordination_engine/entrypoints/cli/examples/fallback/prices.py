"""A price from a service that is down, and one from a list."""

from ai_coordination_engine import AgentFailure, AgentRequest

LIST = {"bicycle": "890.00", "helmet": "59.90"}


def live(request: AgentRequest) -> str:
    """Ask the service, which does not answer today."""
    raise AgentFailure("the price service does not answer", error_class="unavailable")


def from_list(request: AgentRequest) -> str:
    """Look the price up in last month's list."""
    article = request.query.split()[-1]
    if article not in LIST:
        raise AgentFailure(f"there is no {article} in the list", error_class="invalid_request")
    return f"{LIST[article]} (last month)"
