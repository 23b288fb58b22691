"""Subscriptions without a transport: what they wait for, one execution, and their end."""

import asyncio
import gc
import warnings
from contextlib import suppress
from typing import Any

import pytest

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.limits import DocumentError
from ai_coordination_engine.api.live.subscription import (
    Answer,
    Subscription,
    errors_of,
    is_subscription,
    subscription_of,
)
from ai_coordination_engine.api.transport import Parameters
from ai_coordination_engine.domain import topics
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.errors import CoordinationError
from ai_coordination_engine.runtime_ports import AgentFailure
from benchmarks.harness.api import DOCUMENTS
from tests.kit.stage import TENANT, Stage, stage_of

SESSION = """subscription($c: String!, $s: String!) {
  shown: session(coordinationUuid: $c, sessionUuid: $s) { status sessionAgents { state } } }"""
OUTPUT = """subscription($s: String!, $a: String!) {
  agentOutput(sessionUuid: $s, sessionAgentUuid: $a) { delta done attempt } }"""


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def stage(app: App) -> Stage:
    return stage_of(app)


def subscribed(query: str, tenant: str = TENANT, **variables: Any) -> Subscription:
    found = subscription_of(Parameters(query, None, variables), DOCUMENTS, tenant)
    assert found is not None
    return found


def executed(app: App, subscription: Subscription, tenant: str = TENANT) -> Answer:
    async def execute() -> Answer:
        return await subscription.execute(Context(app, tenant))

    return asyncio.run(execute())


def of(session: Any) -> dict[str, str]:
    return {"c": session.coordination_uuid, "s": session.session_uuid}


def test_a_session_is_answered_until_it_and_its_agents_have_ended(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    subscription = subscribed(SESSION, **of(session))
    first = executed(stage.app, subscription)
    assert first.payload["data"]["shown"]["status"] == "dispatched"
    assert (first.is_last, first.refusal) == (False, None)
    stage.drain()
    last = executed(stage.app, subscription)
    assert last.payload["data"]["shown"]["status"] == "completed"
    assert last.is_last
    other = executed(stage.app, subscribed(SESSION, "other", **of(session)), "other")
    assert (other.payload, other.is_last) == ({"data": {"shown": None}}, False)


def test_a_failed_session_goes_on_while_its_agents_are_ended(stage: Stage) -> None:
    def fails(_: object) -> str:
        raise AgentFailure("no")

    stage.runtime.behaviours["a"] = fails
    session = stage.start(stage.define({"a": "", "b": ""}))
    subscription = subscribed(SESSION, **of(session))
    seen = [executed(stage.app, subscription)]
    stage.drain()
    seen.append(executed(stage.app, subscription))
    assert [each.is_last for each in seen] == [False, True]
    shown = seen[-1].payload["data"]["shown"]
    assert shown["status"] == "failed"
    assert {each["state"] for each in shown["sessionAgents"]} <= {
        "failed", "completed", "skipped", "cancelled",
    }  # fmt: skip


def test_topics_are_those_of_the_tenant() -> None:
    assert subscribed(SESSION, c="c", s="s").topics == {topics.of_session(TENANT, "s")}
    lists = {topics.of_tenant("acme#eu")}
    for field in ("sessionList { pageSize }", "userInbox { pageSize }"):
        assert subscribed(f"subscription {{ {field} }}", "acme#eu").topics == lists
    assert subscribed(OUTPUT, s="s", a="a").topics == {
        topics.of_session(TENANT, "s"),
        topics.of_output(TENANT, "s", "a"),
    }


def test_equal_subscriptions_of_one_tenant_share_a_key() -> None:
    one = subscribed(SESSION, c="c", s="s")
    assert one.key == subscribed(SESSION, s="s", c="c").key
    others = [
        subscribed(SESSION, "other", c="c", s="s"),
        subscribed(SESSION, c="c", s="t"),
        subscribed(SESSION + " ", c="c", s="s"),
    ]
    assert len({one.key, *(each.key for each in others)}) == 4


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("subscription { unknown }", {}, "BAD_USER_INPUT"),
        (SESSION, {"c": "c"}, "BAD_USER_INPUT"),
        (SESSION, {"c": "c", "s": 1}, "BAD_USER_INPUT"),
        ("subscription { sessionList @include(if: false) { total } }", {}, "BAD_USER_INPUT"),
        ("subscription { sessionList { total } userInbox { total } }", {}, "BAD_USER_INPUT"),
        (f"subscription {{ sessionList {{ {'total ' * 600} }} }}", {}, "TOO_COMPLEX"),
        (SESSION, {"c": "c", "s": "ü" * 16_384}, "TOO_COMPLEX"),
    ],
)  # fmt: skip
def test_what_cannot_begin_is_an_error_with_a_code(query: str, variables: Any, code: str) -> None:
    with pytest.raises((DocumentError, CoordinationError)) as refused:
        subscription_of(Parameters(query, None, variables), DOCUMENTS, TENANT)
    assert {each["extensions"]["code"] for each in errors_of(refused.value)} == {code}  # type: ignore[index]


def test_queries_and_mutations_are_none() -> None:
    for query in ("{ ping }", 'mutation { deleteCoordination(coordinationUuid: "c") { ok } }'):
        assert subscription_of(Parameters(query), DOCUMENTS, TENANT) is None
        assert not is_subscription(Parameters(query), DOCUMENTS)
    assert is_subscription(Parameters("subscription { sessionList { total } }"), DOCUMENTS)
    assert not is_subscription(Parameters("subscription {"), DOCUMENTS)


def test_a_root_that_is_refused_is_a_refusal(app: App) -> None:
    answer = executed(app, subscribed('subscription { sessionList(statuses: ["x"]) { pageSize } }'))
    assert answer.refusal is not None
    assert answer.refusal[0]["extensions"]["code"] == "BAD_USER_INPUT"  # type: ignore[index]
    assert not answer.is_passing


def test_the_output_of_an_agent_that_has_ended_is_its_last_answer(stage: Stage) -> None:
    session = stage.start(stage.define({"a": ""}))
    (agent,) = stage.agents(session.session_uuid)
    subscription = subscribed(OUTPUT, s=session.session_uuid, a=agent.session_agent_uuid)
    before = executed(stage.app, subscription)
    assert before.payload["data"]["agentOutput"] == {"delta": "", "done": False, "attempt": None}
    stage.drain()
    after = executed(stage.app, subscription)
    shown = after.payload["data"]["agentOutput"]
    assert (shown["done"], shown["attempt"], after.is_last) == (True, 1, True)
    assert shown["delta"] != ""


# the execution does not know the home
@pytest.mark.only_on("sqlite")
def test_an_execution_that_is_cancelled_leaves_nothing_that_nobody_awaits(stage: Stage) -> None:
    session = stage.start(stage.define({"a": "", "b": "a"}))
    subscription = subscribed(SESSION, **of(session))
    lists = subscribed("subscription { sessionList { sessionList { sessionAgents { state } } } }")

    async def cancel_after(each: Subscription, ticks: int) -> None:
        running = asyncio.create_task(each.execute(Context(stage.app, TENANT)))
        for _ in range(ticks):
            await asyncio.sleep(0)
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for each in (subscription, lists):
            for ticks in range(12):
                asyncio.run(cancel_after(each, ticks))
        gc.collect()
    assert [str(each.message) for each in found] == []
