"""The transitions of a session agent. The callers add the values that a transition sets beside the
state.
"""

from ai_coordination_engine.domain.lifecycle.agents_by_hand import (
    COUNT_BY_HAND,
    DELETE_BY_HAND,
    DELETE_NEEDED,
    END_BY_HAND,
    OPEN_BY_HAND,
)
from ai_coordination_engine.domain.lifecycle.clearings import (
    ATTEMPT,
    LEASE,
    SET_BACK,
    STANDING,
    TIMES,
    WAIT,
)
from ai_coordination_engine.domain.lifecycle.transition import Transition
from ai_coordination_engine.domain.predicates import (
    EDGE,
    EPOCH,
    NOW,
    TENANT,
    Below,
    Contains,
    Exists,
    UpTo,
    absent,
    equals,
    unchanged,
)
from ai_coordination_engine.domain.statuses import (
    OPEN_AGENT_STATES,
    TERMINAL_AGENT_STATES,
    AgentState,
)

INITIAL, PENDING, EXECUTING = AgentState.INITIAL, AgentState.PENDING, AgentState.EXECUTING
WAITING, FAILED = AgentState.WAIT_FOR_USER_INPUT, AgentState.FAILED
_ANY: tuple[str, ...] = ()
_HELD = (EXECUTING, PENDING)
_UNHELD = (INITIAL, PENDING, WAITING)

SATISFIED = (absent("still_needed") & equals("in_degree", 0) & absent("unsatisfied")) | UpTo(
    "still_needed", 0
)
"""Enough predecessors have completed."""
_NOTHING_ELSE = absent("run_uuid", "awaits_user", "paused")
_READY = SATISFIED & _NOTHING_ELSE & (absent("not_before") | UpTo("not_before", NOW))
_BY_HOLDER = unchanged("run_uuid", "lease_token") & Exists("lease_until")
"""The attempt that the caller has read is the current one, held by the same worker."""
_EXPIRED = Below("lease_until", NOW)
_UNTIL_EPOCH = absent("epoch") | UpTo("epoch", EPOCH)
_BEFORE_EPOCH = absent("epoch") | Below("epoch", EPOCH)

_BEGINS = ("first_run", "not_before", "over_budget", "ended_at")
# it tells whose end it was
_ENDS = tuple(each for each in (*ATTEMPT, "asks", "lost_runs") if each != "lease_token")
CLAIM = Transition(
    "claim",
    "a worker takes the next attempt",
    (INITIAL, PENDING),
    EXECUTING,
    _READY & equals("partition_key", TENANT),
    _BEGINS,
)
CLAIM_AS_READ = Transition(
    "claim_as_read",
    "the worker that made it ready takes its next attempt",
    (INITIAL, PENDING),
    EXECUTING,
    _READY & unchanged("epoch"),
    _BEGINS,
)
FINISH_LAST_EDGE_AND_CLAIM = Transition(
    "finish_last_edge_and_claim",
    "its only predecessor has ended, and the same worker takes the attempt, in one write",
    (INITIAL,),
    EXECUTING,
    Contains("unfinished", EDGE) & equals("in_degree", 1) & absent("unsatisfied") & _NOTHING_ELSE,
    _BEGINS,
)
TAKE_OVER = Transition(
    "take_over",
    "the lease expired: another worker takes the next attempt",
    (EXECUTING,),
    EXECUTING,
    _EXPIRED & unchanged("run_uuid") & absent("paused"),
    _BEGINS,
)
GIVE_BACK = Transition(
    "give_back",
    "the attempt before this one has a result and becomes the current one again",
    _HELD,
    None,
    _BY_HOLDER,
    ("lost_runs",),
)
RENEW = Transition("renew", "the lease runs from now on", _HELD, None, _BY_HOLDER)
FENCE = Transition(
    "fence",
    "an expired lease is taken, so that its worker can no longer end the attempt",
    OPEN_AGENT_STATES,
    None,
    unchanged("state", "run_uuid") & _EXPIRED & absent("paused"),
)
RESUME_ATTEMPT = Transition(
    "resume_attempt",
    "a worker resumes an attempt that has its result",
    (PENDING,),
    None,
    unchanged("run_uuid") & absent("paused") & (absent("lease_until") | _EXPIRED),
    ("not_before",),
)
EXPIRE_LEASE = Transition(
    "expire_lease", "the holder met an error and expires its lease now", _HELD, None, _BY_HOLDER
)
ACT = Transition(
    "act", "it has answered, and its action function begins", _HELD, PENDING, _BY_HOLDER
)
ACT_LATER = Transition(
    "act_later",
    "its action function failed and begins again later",
    _HELD,
    PENDING,
    _BY_HOLDER,
    tuple(each for each in ATTEMPT if each != "acting"),
)
WAIT_FOR_BUDGET = Transition(
    "wait_for_budget",
    "a budget has no room for its attempt, which was not dispatched and does not count",
    (EXECUTING,),
    PENDING,
    _BY_HOLDER,
    ("attempt", "run_uuid", *ATTEMPT, *TIMES),
)
RETRY_LATER = Transition(
    "retry_later",
    "its attempt failed and another begins later",
    _HELD,
    PENDING,
    _BY_HOLDER,
    ("run_uuid", "lost_runs", *ATTEMPT),
)
WAIT_FOR_JOB = Transition(
    "wait_for_job",
    "its attempt goes on in a long job",
    _HELD,
    PENDING,
    _BY_HOLDER,
    ("lease_until",),
)
ASK = Transition(
    "ask",
    "its attempt has ended with a question to a person; the next one goes on with the answer",
    _HELD,
    WAITING,
    _BY_HOLDER,
    ("notes", "reply", "run_uuid", "lost_runs", *ATTEMPT),
)
DEFER = Transition(
    "defer", "its long job has sent a heartbeat", _ANY, None, unchanged("async_task_uuid", "due_at")
)
EXPAND = Transition(
    "expand",
    "a map begins to wait for its elements; the claim does not count as an attempt",
    _HELD,
    PENDING,
    _BY_HOLDER,
    ("attempt", "counter_shards", "run_uuid", "still_needed", "elements_sent", *ATTEMPT, *TIMES),
)
SEND_ON = Transition(
    "send_on",
    "its runtime needs an extra that another worker has; the claim does not count as an attempt",
    _HELD,
    PENDING,
    _BY_HOLDER,
    ("attempt", "needs", "run_uuid", *ATTEMPT, *TIMES),
)
ELEMENTS_SENT = Transition(
    "elements_sent",
    "all elements of the map are written and enqueued",
    _ANY,
    None,
    Exists("mapped") & unchanged("generation"),
)
TAKE_BACK = Transition(
    "take_back",
    "an element that its map does not wait for is deleted",
    _UNHELD,
    None,
    absent("lease_until", "attempt"),
)
COMPLETE = Transition(
    "complete", "its attempt has succeeded", _HELD, AgentState.COMPLETED, _BY_HOLDER, _ENDS
)
PIN_PLAN = Transition(
    "pin_plan",
    "its plan is valid: it completes, and the agents of the plan are written with it",
    _HELD,
    AgentState.COMPLETED,
    _BY_HOLDER & unchanged("epoch", "paused"),
    (*_ENDS, "sink_count"),
)
PROPOSE_PLAN = Transition(
    "propose_plan",
    "its plan is valid, and its person is asked about it",
    _HELD,
    WAITING,
    _BY_HOLDER,
    LEASE,
)
FAIL = Transition(
    "fail", "its attempt has failed, and no other follows", _HELD, FAILED, _BY_HOLDER, _ENDS
)
FAIL_POISONED = Transition(
    "fail_poisoned",
    "its message cannot be handled, and nothing has begun since it was read",
    OPEN_AGENT_STATES,
    FAILED,
    unchanged("state", "epoch", "run_uuid", *LEASE),
    (*ATTEMPT, "inbox", "waits_since", "over_budget", "lost_runs"),
)
FINISH_EDGE = Transition(
    "finish_edge", "one predecessor has ended", _ANY, None, Contains("unfinished", EDGE)
)
SKIP = Transition(
    "skip",
    "it can never run",
    _UNHELD,
    AgentState.SKIPPED,
    absent("lease_until") & _UNTIL_EPOCH,
    (*WAIT, "async_task_uuid", "not_before", "over_budget"),
)
WAIT_FOR_USER = Transition(
    "wait_for_user",
    "its person is asked",
    (INITIAL, PENDING),
    WAITING,
    SATISFIED & absent("run_uuid") & Exists("awaits_user"),
)
ANSWER = Transition(
    "answer",
    "its person has answered",
    (WAITING,),
    PENDING,
    equals("partition_key", TENANT) & unchanged("nonce", "waits_since"),
    ("awaits_user", *WAIT),
)
ANSWER_BY_DEFAULT = Transition(
    "answer_by_default",
    "no answer came in time; the default answer is used",
    (WAITING,),
    PENDING,
    equals("partition_key", TENANT) & unchanged("nonce", "due_at"),
    ("awaits_user", *WAIT),
)
FAIL_WAITING = Transition(
    "fail_waiting",
    "no answer came in time, and there is no default answer",
    (WAITING,),
    FAILED,
    unchanged("due_at", "waits_since"),
    (*WAIT, "lost_runs"),
)
CANCEL = Transition(
    "cancel",
    "its session was cancelled; its attempt keeps its lease until its run is recorded",
    OPEN_AGENT_STATES,
    AgentState.CANCELLED,
    _UNTIL_EPOCH,
    (*STANDING, "paused"),
)
ABANDON = Transition(
    "abandon",
    "its session has ended, and no worker holds it",
    OPEN_AGENT_STATES,
    AgentState.SKIPPED,
    _UNTIL_EPOCH & unchanged("run_uuid", "lease_until"),
    (*STANDING, "paused"),
)
ADD_SUCCESSOR = Transition(
    "add_successor",
    "a later question on its thread waits for it",
    OPEN_AGENT_STATES,
    None,
    unchanged("successors"),
)
GO_ON = Transition(
    "go_on",
    "the session agent that goes on with its question is written",
    TERMINAL_AGENT_STATES,
    None,
)
INTERRUPT = Transition(
    "interrupt",
    "a later question takes its place; its attempt keeps its lease until its run is recorded",
    OPEN_AGENT_STATES,
    AgentState.CANCELLED,
    None,
    (*STANDING, "paused"),
)
CLOSE = Transition(
    "close",
    "it was ended, and its runs are recorded now",
    TERMINAL_AGENT_STATES,
    None,
    unchanged("state", "run_uuid", "epoch"),
    ("lease_until", "lost_runs"),
)
HANDED_OFF = Transition(
    "handed_off",
    "all that its end made ready was enqueued again",
    TERMINAL_AGENT_STATES,
    None,
    unchanged("epoch"),
    ("held_after",),
)
PAUSE = Transition("pause", "its session is paused", OPEN_AGENT_STATES, None, absent("paused"))
PAUSE_ELEMENT = Transition(
    "pause_element", "its map is paused", _UNHELD, None, absent("lease_until")
)
UNPAUSE = Transition(
    "unpause", "its session is no longer paused", _ANY, None, unchanged("paused"), ("paused",)
)
ADOPT = Transition(
    "adopt",
    "its session is reset, and it is kept as it is",
    _ANY,
    None,
    unchanged("state", "run_uuid") & _BEFORE_EPOCH,
)
RESET = Transition(
    "reset",
    "its session is reset, and it runs again",
    _ANY,
    None,
    unchanged("state", "run_uuid", "lease_until") & _BEFORE_EPOCH,
    SET_BACK,
)
REFILL = Transition(
    "refill",
    "its session is reset, and a counter shard is written anew, once in each epoch",
    _ANY,
    None,
    _BEFORE_EPOCH,
)
AGENT_TRANSITIONS = (
    CLAIM,
    CLAIM_AS_READ,
    FINISH_LAST_EDGE_AND_CLAIM,
    TAKE_OVER,
    GIVE_BACK,
    RENEW,
    FENCE,
    RESUME_ATTEMPT,
    EXPIRE_LEASE,
    ACT,
    ACT_LATER,
    WAIT_FOR_BUDGET,
    RETRY_LATER,
    WAIT_FOR_JOB,
    ASK,
    DEFER,
    EXPAND,
    SEND_ON,
    ELEMENTS_SENT,
    TAKE_BACK,
    COMPLETE,
    PIN_PLAN,
    PROPOSE_PLAN,
    FAIL,
    FAIL_POISONED,
    FINISH_EDGE,
    SKIP,
    WAIT_FOR_USER,
    ANSWER,
    ANSWER_BY_DEFAULT,
    FAIL_WAITING,
    CANCEL,
    ABANDON,
    ADD_SUCCESSOR,
    GO_ON,
    INTERRUPT,
    CLOSE,
    HANDED_OFF,
    PAUSE,
    PAUSE_ELEMENT,
    UNPAUSE,
    ADOPT,
    RESET,
    REFILL,
    OPEN_BY_HAND,
    END_BY_HAND,
    COUNT_BY_HAND,
    DELETE_BY_HAND,
    DELETE_NEEDED,
)
