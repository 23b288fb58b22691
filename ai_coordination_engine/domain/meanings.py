"""What each status and state means, in words for people. `ace schema print --enums` prints them."""

from collections.abc import Mapping

SESSION_STATUSES: Mapping[str, str] = {
    "initial": "Created by a client, not started.",
    "dispatched": "Its agents are enqueued, and none has begun.",
    "in_progress": "The first agent has begun.",
    "active": "A conversation with `askOperationHub`.",
    "in_transit": "It is being reset by a retry or rerun.",
    "paused": "Nothing new begins until a person resumes it.",
    "completed": "All agents that no other agent waits for have ended. Final.",
    "failed": "It failed by its failure policy; `logs` says why. Final.",
    "timeout": "Ended by a client, because it took too long. Final.",
    "cancelled": "Ended by a person or a client. Final.",
}
AGENT_STATES: Mapping[str, str] = {
    "initial": "`inDegree` predecessors are unfinished.",
    "pending": "Ready, in a backoff, or waiting for a job or for its elements.",
    "executing": "An attempt runs.",
    "wait_for_user_input": "It waits for a person.",
    "completed": "It has its output. Final.",
    "failed": "`notes` says why. Final.",
    "skipped": "It can never run: a condition, a choice or a failure left it out. Final.",
    "cancelled": "Its session was cancelled. Final.",
}
RUN_STATUSES: Mapping[str, str] = {
    "completed": "It has an output.",
    "failed": "`error` says why.",
    "lost": "The worker died.",
    "asked": "A person was asked; another attempt goes on with the answer.",
    "pending": "A long job is running.",
    "expired": "The long job sent no heartbeat in time.",
}
SCHEDULE_STATUSES: Mapping[str, str] = {
    "initial": "Created, not active yet.",
    "active": "It fires at its times.",
    "paused": "It does not fire until it is active again.",
    "completed": "It does not fire any more.",
}
ERROR_CLASSES: Mapping[str, str] = {
    "timeout": "It took too long.",
    "rate_limit": "Refused because of load.",
    "unavailable": "The service could not be reached, or is broken.",
    "invalid_request": "The service refused the request.",
    "invalid_output": "The output cannot be used.",
    "error": "The agent raised an error.",
    "lost": "The worker died.",
    "not_allowed": "The settings forbid it.",
    "budget": "It does not fit into a budget.",
}
OVERLAP_POLICIES: Mapping[str, str] = {
    "skip": "The time is skipped.",
    "buffer_one": "One time waits for the end of the earlier session.",
    "buffer_all": "Up to 100 times wait for the end of the earlier session.",
    "cancel_other": "The earlier session is cancelled.",
    "allow_all": "Both sessions run.",
}
REASONS: Mapping[str, str] = {
    "EXECUTING": "It runs.",
    "LEASE_EXPIRED": "Its worker did not finish in time; another worker takes over.",
    "ACTING": "It has answered; its action function runs.",
    "WAITS_FOR_PREDECESSORS": "It waits for the agents in `waitsFor`.",
    "WAITS_FOR_ELEMENTS": "It is a map whose elements run.",
    "WAITS_FOR_USER": "It waits for a person.",
    "WAITS_FOR_ASYNC_TASK": "It waits for a long job.",
    "WAITS_FOR_BUDGET": "Its budget has no room for another attempt.",
    "BACKOFF": "It has failed, and is tried again at `until`.",
    "PAUSED": "Its session is paused.",
    "WAITS_FOR_WORKER": "It is ready; its message waits for a worker.",
    "WAITS_FOR_SETTINGS": "It waits until the settings allow it again.",
    "WAITS_FOR_BACKEND": "It waits until the database or the queue answers again.",
    "INTERNAL_ERROR": "An unexpected error ended its attempt; it is tried again.",
    "RESTARTING": "It is being reset by a retry or rerun.",
    "SESSION_ENDED": "Its session has ended; it never runs.",
    "NOT_PLANNED": "A client has created it; the engine does not run it.",
    "COMPLETED": "It has ended.",
    "FAILED": "It has failed.",
    "SKIPPED": "It was left out.",
    "CANCELLED": "It was cancelled.",
}
"""The codes of `whyNotRunning`."""
