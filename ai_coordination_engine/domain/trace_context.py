"""W3C Trace Context: the identity of a session's trace and of the spans in it. Pure.

A session is one trace, whichever processes run it. Its ids are computed from the records, so that
each process knows the parent of a span that another one ends, and a redelivery names the same span
again. A caller's `traceparent` and `tracestate` are kept with the session as one text; then the
session's spans are in the caller's trace.

Source: W3C Recommendation "Trace Context", sections 3.2 and 3.3.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace

from ai_coordination_engine.data_classes import dataclass

_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?!0{32})(?P<trace>[0-9a-f]{32})"
    r"-(?!0{16})(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-[\x21-\x7e]*)?"
)
_MEMBER = re.compile(
    r"(?P<key>[a-z0-9][a-z0-9_\-*/@]{0,255})="
    r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS = 32
_MOST_STATE = 512  # characters; a longer `tracestate` is left out
_SAMPLED = 1
_KNOWN_FLAGS = 3  # sampled, random


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span as others refer to it: ids in lower-case hexadecimal, its flags and `tracestate`."""

    trace_id: str
    span_id: str
    flags: int = _SAMPLED
    state: str = ""

    @property
    def is_sampled(self) -> bool:
        """Whether spans below it are to be recorded."""
        return bool(self.flags & _SAMPLED)

    @property
    def traceparent(self) -> str:
        """The value of the header `traceparent`."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags:02x}"

    def stored(self) -> str:
        """The text from which `read` makes it again."""
        return f"{self.traceparent} {self.state}".rstrip()

    def span(self, span_id: str) -> "TraceContext":
        """Another span of the same trace."""
        return replace(self, span_id=span_id)


def read(stored: str | None) -> TraceContext | None:
    """The context of a stored text; None without one."""
    return _parsed(*stored.partition(" ")[::2]) if stored else None


def given(headers: Mapping[str, object]) -> str | None:
    """The caller's context in headers (names in lower case) or keys, as it is stored.

    None without a valid `traceparent`. A `tracestate` that is not valid or too long is left out.
    """
    traceparent = headers.get("traceparent")
    if not isinstance(traceparent, str):
        return None
    state = headers.get("tracestate")
    found = _parsed(traceparent.strip(" \t"), state if isinstance(state, str) else "")
    return found.stored() if found else None


def trace_id(tenant: str, session_uuid: str) -> str:
    """The trace of a session whose caller has none."""
    return _digest("trace", tenant, session_uuid)[:32]


def workflow_span(tenant: str, session_uuid: str, epoch: int | None = None) -> str:
    """The id of the span of a session, from its start or its reset (`epoch`) to its end."""
    return _digest("workflow", tenant, session_uuid, epoch or 0)[:16]


def attempt_span(tenant: str, session_uuid: str, session_agent_uuid: str, attempt: int) -> str:
    """The id of the span of one attempt of a session agent."""
    return _digest("attempt", tenant, session_uuid, session_agent_uuid, attempt)[:16]


def inner_span(attempt_span_id: str, kind: str, number: int) -> str:
    """The id of a span below an attempt: the `number`-th of its kind."""
    return _digest("inner", attempt_span_id, kind, number)[:16]


def _digest(*names: object) -> str:
    return hashlib.sha256(json.dumps(names).encode()).hexdigest()


def _parsed(traceparent: str, state: str) -> TraceContext | None:
    """The context of two headers; None when the first is not valid. A later version than 00 may be
    longer, and is read like this one.
    """
    found = _TRACEPARENT.fullmatch(traceparent)
    if found is None or (found["more"] is not None and found["version"] == "00"):
        return None
    flags = int(found["flags"], 16) & _KNOWN_FLAGS
    return TraceContext(found["trace"], found["span"], flags, _valid_state(state))


def _valid_state(state: str) -> str:
    """The `tracestate`, without white space around its members; empty if it is not valid."""
    members = [each for part in state.split(",") if (each := part.strip(" \t"))]
    keys = [found["key"] for each in members if (found := _MEMBER.fullmatch(each))]
    joined = ",".join(members)
    is_valid = len(members) <= _MOST_MEMBERS and len({*keys}) == len(members)
    return joined if is_valid and len(joined) <= _MOST_STATE else ""
