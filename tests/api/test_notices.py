"""Notices of remote agents: a token proves the owner, and a worker looks at the task."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from ai_coordination_engine.api.notices import answer_notice
from ai_coordination_engine.domain.webhooks import JobOwner
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.asgi import asgi_app
from ai_coordination_engine.http_messages import Request
from ai_coordination_engine.runtime_ports import AgentResult
from tests.kit.stage import TENANT, Stage, stage_of
from tests.kit.waits import pending, waiting_for_a_job, work_now

MASTER = "the operator's key"


@pytest.fixture
def stage(app: App) -> Stage:
    stage = stage_of(app, behaviours={"b": pending(look_seconds=10)})
    settings = stage.app.settings.model_copy(update={"webhook_key": SecretStr(MASTER)})
    stage.app = replace(stage.app, settings=settings)
    return stage


def owner_of(stage: Stage) -> JobOwner:
    session = waiting_for_a_job(stage)
    agent = stage.agent(session.session_uuid, "b")
    return JobOwner(TENANT, session.session_uuid, agent.session_agent_uuid)


def send(
    stage: Stage, owner: str, method: str = "POST", body: bytes = b"", **headers: str
) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answered = asyncio.run(answer_notice(Request(method, named, (), body), stage.app, owner))
    return answered.status, json.loads(answered.body)


@pytest.mark.parametrize("header", ["x_a2a_notification_token", "authorization"])
def test_a_notice_with_its_token_is_followed_by_a_look(stage: Stage, header: str) -> None:
    owner = owner_of(stage)
    stage.runtime.looks = lambda uuid: AgentResult("found")
    token = owner.token(MASTER)
    given = {header: token if header.startswith("x") else f"Bearer {token}"}
    body = b'{"task": {"id": "forged", "status": {"state": "TASK_STATE_FAILED"}}}'
    assert send(stage, owner.handle, body=body, **given) == (200, {"ok": True})
    work_now(stage)
    assert stage.runtime.looked == ["job-1"]
    assert stage.agent(owner.session_uuid, "b").agent_output == "found"
    assert send(stage, owner.handle, **given) == (200, {"ok": True})


def test_a_token_is_of_one_owner_and_one_key(stage: Stage) -> None:
    owner = owner_of(stage)
    other = replace(owner, tenant="other")
    forged = (
        "",
        "x",
        owner.token("another key"),
        other.token(MASTER),
        replace(owner, session_agent_uuid="other").token(MASTER),
    )
    for token in forged:
        status, answered = send(stage, owner.handle, x_a2a_notification_token=token)
        assert (status, answered["errors"][0]["extensions"]["code"]) == (401, "UNAUTHENTICATED")
    for handle in ("", "x", "*", "\udcff", owner.handle[:-3]):
        assert send(stage, handle, x_a2a_notification_token=owner.token(MASTER))[0] == 401
    assert send(stage, other.handle, x_a2a_notification_token=other.token(MASTER))[0] == 404
    work_now(stage)
    assert stage.runtime.looked == []


def test_a_server_without_a_key_takes_no_notices(stage: Stage) -> None:
    owner = owner_of(stage)
    settings = stage.app.settings.model_copy(update={"webhook_key": None})
    stage.app = replace(stage.app, settings=settings)
    token = owner.token(MASTER)
    assert send(stage, owner.handle, x_a2a_notification_token=token)[0] == 404
    assert send(stage, owner.handle, "GET")[0] == 405


async def test_the_local_server_has_the_address(stage: Stage) -> None:
    owner = JobOwner(TENANT, "s", "a")
    transport = httpx.ASGITransport(asgi_app(stage.app))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        headers = {"X-A2A-Notification-Token": owner.token(MASTER)}
        answered = await client.post(f"/async-tasks/a2a/{owner.handle}", headers=headers)
        refused = await client.post(f"/async-tasks/a2a/{owner.handle}")
    assert (answered.status_code, refused.status_code) == (404, 401)
