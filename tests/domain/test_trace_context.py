"""W3C Trace Context: what is accepted of a caller, and the ids of a session's spans."""

import pytest

from ai_coordination_engine.domain import trace_context
from ai_coordination_engine.domain.trace_context import TraceContext

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


def test_a_callers_context_is_kept_as_one_text_and_read_again() -> None:
    stored = trace_context.given({"traceparent": VALID, "tracestate": "a=1, b@x=two words ,c=3"})
    assert stored == f"{VALID} a=1,b@x=two words,c=3"
    found = trace_context.read(stored)
    assert found == TraceContext(TRACE, SPAN, 1, "a=1,b@x=two words,c=3")
    assert (found.traceparent, found.is_sampled, found.stored()) == (VALID, True, stored)


@pytest.mark.parametrize(
    ("traceparent", "kept"),
    [
        (f"00-{TRACE}-{SPAN}-00", f"00-{TRACE}-{SPAN}-00"),
        (f"00-{TRACE}-{SPAN}-03", f"00-{TRACE}-{SPAN}-03"),
        (f"00-{TRACE}-{SPAN}-ff", f"00-{TRACE}-{SPAN}-03"),  # flags that nobody has defined
        (f"cc-{TRACE}-{SPAN}-01", VALID),  # a later version
        (f"cc-{TRACE}-{SPAN}-01-what-will-be", VALID),
        (f" {VALID}\t", VALID),
    ],
)
def test_what_is_valid_is_passed_on_as_version_00(traceparent: str, kept: str) -> None:
    assert trace_context.given({"traceparent": traceparent}) == kept


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        None,
        7,
        ["x"],
        VALID[:-1],
        VALID + "0",
        VALID + "-more",  # of version 00
        VALID.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"{VALID},{VALID}",  # two headers
        f"{VALID}\n",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"0\u0660-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_not_valid_is_ignored(traceparent: object) -> None:
    assert trace_context.given({"traceparent": traceparent, "tracestate": "a=1"}) is None


@pytest.mark.parametrize(
    "state",
    [
        "",
        " , ",
        7,
        "a",
        "a=",
        "A=1",
        "a=1,a=2",
        "a=x=y",
        "a=\u00e9",
        "a=1\r\nx-evil: 1",
        ",".join(f"k{number}=1" for number in range(33)),
        f"a={'x' * 257}",
        ",".join(f"k{number}={'x' * 200}" for number in range(3)),
    ],
)
def test_a_tracestate_that_is_not_valid_or_too_long_is_left_out(state: object) -> None:
    assert trace_context.given({"traceparent": VALID, "tracestate": state}) == VALID


def test_the_longest_tracestate_is_kept() -> None:
    state = ",".join(f"k{number}={'x' * 250}" for number in range(2))
    state += "," + "z=" + "y" * (512 - len(state) - 3)
    assert len(state) == 512
    headers = {"traceparent": VALID, "tracestate": state}
    assert trace_context.given(headers) == f"{VALID} {state}"
    assert trace_context.given({**headers, "tracestate": state + "y"}) == VALID


def test_ids_depend_on_tenant_session_agent_and_attempt_alone() -> None:
    assert trace_context.trace_id("t", "s") == "50b22747ac723dd0ecf1b3496f025902"
    assert trace_context.workflow_span("t", "s") == trace_context.workflow_span("t", "s", 0)
    spans = [
        trace_context.workflow_span("t", "s"),
        trace_context.workflow_span("t", "s", 1),
        trace_context.workflow_span("t/s", ""),
        trace_context.attempt_span("t", "s", "a", 1),
        trace_context.attempt_span("t", "s", "a", 2),
        trace_context.attempt_span("t", "s", "a1", 1),
        trace_context.attempt_span("u", "s", "a", 1),
        trace_context.inner_span("x", "chat", 0),
        trace_context.inner_span("x", "tool", 0),
        trace_context.inner_span("x", "tool", 1),
    ]
    assert len({*spans}) == len(spans)
    assert {len(each) for each in spans} == {16}
    assert trace_context.attempt_span("t", "s", "a", 1) == "836f9e1b5799e1e7"


def test_without_a_caller_there_is_no_context() -> None:
    assert trace_context.read(None) is None
    assert trace_context.read("") is None
    assert trace_context.given({}) is None
