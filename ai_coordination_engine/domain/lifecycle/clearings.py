"""The attributes of a session agent that transitions clear together. A new attribute belongs in one
of these groups.
"""

WAIT = ("inbox", "waits_since", "due_at")
"""The wait for a person."""
ELSEWHERE = ("async_task_uuid", "acting", "resumed")
"""An attempt that goes on without its worker: in a long job, or in its action function."""
STANDING = (*WAIT, *ELSEWHERE, "not_before", "over_budget")
"""Why an agent does not run although its predecessors have ended."""
LEASE = ("lease_until", "lease_token")
ASKED = ("asks", "reply")
"""What its runtime has asked a person, and the answer."""
ATTEMPT = (*LEASE, *ELSEWHERE, "due_at")
TIMES = ("started_at", "ended_at")
"""When the latest attempt began and ended."""
SET_BACK = (
    *STANDING,
    *LEASE,
    *TIMES,
    *ASKED,
    "paused",
    "run_uuid",
    "upstream_failed",
    "unsatisfied",
    "chosen",
    "plan",
    "notes",
    "agent_input",
    "agent_output",
    "user_input",
    "failures",
    "refusals",
    "corrections",
    "correction",
    "on_fallback",
)
"""What an agent has of the attempts before it was reset."""
