"""The transitions of a session. The callers add the values that a transition sets beside the
status, when the sweep looks at the session, and which requests it has carried out.
"""

from ai_coordination_engine.domain.lifecycle.transition import StatusTransition
from ai_coordination_engine.domain.predicates import (
    EPOCH,
    SINK,
    TARGET,
    Contains,
    Exists,
    Given,
    UpTo,
    absent,
    equals,
    unchanged,
)
from ai_coordination_engine.domain.statuses import (
    OPEN_SESSION_STATUSES,
    SESSION_STATUSES,
    TERMINAL_SESSION_STATUSES,
    SessionStatus,
)

# What transitions clear. An attribute that is new belongs into one of these.

RESERVATION = ("unconfirmed",)
"""A write that has seen agents of a session begin or end also confirms its start."""
WATCH = ("watch", "watch_at")
PAUSED = ("pause_token", "paused_from")
SINKS = ("upstream_failed", "has_result", "open_sinks")
"""What came of its sinks."""

PAUSED_STATUS, IN_TRANSIT = SessionStatus.PAUSED, SessionStatus.IN_TRANSIT
COMPLETED, FAILED = SessionStatus.COMPLETED, SessionStatus.FAILED
_ANY: tuple[str, ...] = ()
_UNPAUSED = tuple(each for each in OPEN_SESSION_STATUSES if each != PAUSED_STATUS)
_ENDED_LASTING = tuple(each for each in TERMINAL_SESSION_STATUSES if each != "cancelled")

_SAME_RECORD = Exists("session_uuid") & unchanged("nonce")
"""No other session stands under its key; one of an earlier version has no nonce."""
_AS_SEEN = unchanged("status", "epoch")
_UNTIL_EPOCH = absent("epoch") | UpTo("epoch", EPOCH)
_SINK_OPEN = Contains("open_sinks", SINK)
_SINKS_ENDED = equals("open_sink_count", 0)
_NOT_SET_BACK = absent("restart")
_OWN = unchanged("nonce")  # its blobs are no other's
NOTHING_LASTS = absent("outlived", "pause_token", "strays")
"""Nothing outlives its end: no question, no pause of an agent, no agents that do not count."""
NOT_KEPT = NOTHING_LASTS & absent("watch_kept_until")
"""Nobody has asked the sweep to look after it, whatever it sees."""
NOTHING_LEFT = NOTHING_LASTS & absent("early")
"""No agent is open either, once its sinks have ended."""
_ENDS = (*WATCH, *RESERVATION)

# Its start

RESERVE = StatusTransition(
    "reserve", "a start or a fork writes it unconfirmed", _ANY, None, absent("session_uuid")
)
JOIN = StatusTransition(
    "join",
    "an equal start joins one that may have died",
    _ANY,
    None,
    unchanged("unconfirmed"),
)
CONFIRM_BEGUN = StatusTransition(
    "confirm_begun",
    "its first agent has confirmed it, and its own row now says so too",
    _ANY,
    None,
    _SAME_RECORD & absent("incarnation"),
    RESERVATION,
)
CONFIRM = StatusTransition(
    "confirm",
    "an equal start or a fork has written all its agents, and it becomes visible",
    _ANY,
    None,
    Exists("unconfirmed") & _SAME_RECORD & absent("deleting"),
    (*RESERVATION, "restart"),
)
TAKE_BACK = StatusTransition(
    "take_back",
    "a start is given up: its reservation expires, unless its first agent was written before",
    _ANY,
    None,
    _SAME_RECORD & Exists("unconfirmed"),
)
PUT_BACK = StatusTransition(
    "put_back",
    "a start is given up after it was swept: its reservation is written again, expired",
    _ANY,
    None,
    absent("session_uuid"),
)
LEAVE_STRAYS = StatusTransition(
    "leave_strays",
    "a start is given up, and another session has its key: agents that do not count may be left",
    _ANY,
    None,
    _SAME_RECORD,
)
REMOVE_STRAYS = StatusTransition(
    "remove_strays",
    "the agents that do not count are removed",
    _ANY,
    None,
    _SAME_RECORD & unchanged("strays"),
    ("strays",),
)

# Its plan

PIN_PLAN = StatusTransition(
    "pin_plan",
    "its planning agent completes, and the agents of the plan are written: its sinks are theirs",
    OPEN_SESSION_STATUSES,
    None,
    _OWN & unchanged("epoch", "pause_token") & _NOT_SET_BACK,
    RESERVATION,
)

# Its end

FINISH_SINK = StatusTransition(
    "finish_sink", "one of several sinks has ended", _ANY, None, _SINK_OPEN, RESERVATION
)
COMPLETE_BY_ONLY_SINK = StatusTransition(
    "complete_by_only_sink",
    "its only sink has ended, and the session with it, in one write",
    OPEN_SESSION_STATUSES,
    COMPLETED,
    _SINK_OPEN,
    _ENDS,
)
FAIL_BY_ONLY_SINK = StatusTransition(
    "fail_by_only_sink",
    "its only sink has failed, and the session with it, in one write",
    OPEN_SESSION_STATUSES,
    FAILED,
    _SINK_OPEN,
    _ENDS,
)
COMPLETE = StatusTransition(
    "complete", "all its sinks have ended", OPEN_SESSION_STATUSES, COMPLETED, _SINKS_ENDED, _ENDS
)
FAIL_BY_SINKS = StatusTransition(
    "fail_by_sinks",
    "all its sinks have ended, one of them by a failure",
    OPEN_SESSION_STATUSES,
    FAILED,
    _SINKS_ENDED,
    _ENDS,
)
FAIL = StatusTransition(
    "fail",
    "an agent has failed, and its policy ends the session",
    OPEN_SESSION_STATUSES,
    FAILED,
    _UNTIL_EPOCH,
    RESERVATION,
)
AGENTS_ENDED = StatusTransition(
    "agents_ended", "its agents are ended too", TERMINAL_SESSION_STATUSES, None, _AS_SEEN
)
AGENTS_ENDED_FOR_GOOD = StatusTransition(
    "agents_ended_for_good",
    "its agents are ended too, and nothing in it needs the sweep",
    TERMINAL_SESSION_STATUSES,
    None,
    _AS_SEEN & unchanged("watch_at") & NOT_KEPT,
    WATCH,
)
AGENTS_END_BY = StatusTransition(
    "agents_end_by",
    "its agents are being ended, turn by turn",
    TERMINAL_SESSION_STATUSES,
    None,
    unchanged("status", "epoch", "agents_ended"),
)

# Its controls

CANCEL = StatusTransition(
    "cancel",
    "a person ends it",
    OPEN_SESSION_STATUSES,
    SessionStatus.CANCELLED,
    _NOT_SET_BACK & _OWN,
    (*PAUSED, *RESERVATION),
)
PAUSE = StatusTransition(
    "pause",
    "a person pauses it",
    _UNPAUSED,
    PAUSED_STATUS,
    _NOT_SET_BACK & _OWN,
    RESERVATION,
)
RESUME = StatusTransition(
    "resume",
    "a person resumes it, with the status that it had",
    (PAUSED_STATUS,),
    Given("paused_from"),
    unchanged("paused_from", "nonce"),
    (*PAUSED, *RESERVATION),
)
NOTE = StatusTransition(
    "note",
    "a request that had nothing to do is remembered",
    _ANY,
    None,
    unchanged("status", "epoch", "nonce"),
    RESERVATION,
)
SET_BACK = StatusTransition(
    "set_back",
    "a person lets it run again (retry, rerun); its agents are reset next",
    TERMINAL_SESSION_STATUSES,
    IN_TRANSIT,
    unchanged("status", "epoch", "nonce"),
    (*SINKS, *PAUSED, *RESERVATION),
)
RESTARTED = StatusTransition(
    "restarted",
    "its agents are reset, and it runs again",
    (IN_TRANSIT,),
    SessionStatus.IN_PROGRESS,
    Exists("restart") & unchanged("epoch", "nonce"),
    ("restart", "open_sinks", *RESERVATION),
)
SET_BY_HAND = StatusTransition(
    "set_by_hand",
    "a client sets any status of an open session, or the one that it has",
    (*OPEN_SESSION_STATUSES, TARGET),
    TARGET,
    _NOT_SET_BACK,
    (),
    SESSION_STATUSES,
)

# When the sweep looks at it

LOOK_AT = StatusTransition(
    "look_at", "the sweep is to look at it then or sooner", OPEN_SESSION_STATUSES, None
)
LOOK_AT_LASTING = StatusTransition(
    "look_at_lasting",
    "the sweep is to look at it then or sooner, even after its end: a question outlives it",
    (*OPEN_SESSION_STATUSES, *_ENDED_LASTING),
    None,
)
LOOK_AGAIN = StatusTransition(
    "look_again", "the sweep is to look at it next", _ANY, None, Exists("session_uuid")
)
LOOK_NO_MORE = StatusTransition(
    "look_no_more",
    "nothing in it needs the sweep",
    _ANY,
    None,
    Exists("watch_at") & unchanged("watch_at"),
    (*WATCH, "watch_kept_until"),
)

SESSION_TRANSITIONS = (
    RESERVE,
    JOIN,
    CONFIRM_BEGUN,
    CONFIRM,
    TAKE_BACK,
    PUT_BACK,
    LEAVE_STRAYS,
    REMOVE_STRAYS,
    PIN_PLAN,
    FINISH_SINK,
    COMPLETE_BY_ONLY_SINK,
    FAIL_BY_ONLY_SINK,
    COMPLETE,
    FAIL_BY_SINKS,
    FAIL,
    AGENTS_ENDED,
    AGENTS_ENDED_FOR_GOOD,
    AGENTS_END_BY,
    CANCEL,
    PAUSE,
    RESUME,
    NOTE,
    SET_BACK,
    RESTARTED,
    SET_BY_HAND,
    LOOK_AT,
    LOOK_AT_LASTING,
    LOOK_AGAIN,
    LOOK_NO_MORE,
)
