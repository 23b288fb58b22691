"""Two agent functions: one asks a price service that is down, the other reads a price list."""

from ai_coordination_engine import AgentFailure, AgentRequest

LIST = {"bicycle": "890.00", "helmet": "59.90"}


def live(request: AgentRequest) -> str:
    """Ask the service, which is down."""
    raise AgentFailure("the price service does not answer", error_class="unavailable")


def from_list(request: AgentRequest) -> str:
    """Look up the price in last month's list."""
    article = request.query.split()[-1]
    if article not in LIST:
        raise AgentFailure(f"there is no {article} in the list", error_class="invalid_request")
    return f"{LIST[article]} (last month)"
