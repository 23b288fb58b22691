"""The transitions of a session agent that a client writes by hand."""

from ai_coordination_engine.domain.lifecycle.clearings import STANDING
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.domain.predicates import TARGET, OneOf, absent
from ai_coordination_engine.domain.statuses import OPEN_AGENT_STATES, TERMINAL_AGENT_STATES

_ANY: tuple[str, ...] = ()
BY_CLIENT = absent("ordinal")
"""A client made it: the engine does not move it."""
_BY_HAND = (*STANDING, "lease_token")

OPEN_BY_HAND = Transition(
    "open_by_hand",
    "a client sets an open state of an agent that the engine does not move",
    (*OPEN_AGENT_STATES, TARGET),
    TARGET,
    BY_CLIENT,
    _BY_HAND,
    OPEN_AGENT_STATES,
)
END_BY_HAND = Transition(
    "end_by_hand",
    "a client ends it; a running attempt can no longer end it, and its run is still to be recorded",
    (*OPEN_AGENT_STATES, TARGET),
    TARGET,
    None,
    _BY_HAND,
    TERMINAL_AGENT_STATES,
)
COUNT_BY_HAND = Transition(
    "count_by_hand",
    "a client sets `in_degree` of an agent that the engine does not move",
    _ANY,
    None,
    BY_CLIENT,
)
DELETE_BY_HAND = Transition(
    "delete_by_hand",
    "a client deletes an agent from which nothing can follow",
    _ANY,
    None,
    BY_CLIENT | OneOf("state", TERMINAL_AGENT_STATES),
)
DELETE_NEEDED = Transition(
    "delete_needed",
    "a client deletes an agent that its open session may still need",
    _ANY,
    None,
    BY_CLIENT,
)
