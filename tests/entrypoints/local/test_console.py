"""The files of the console, and the check of run files that its editor asks for."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

import ai_coordination_engine
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.entrypoints.local.asgi import asgi_app
from ai_coordination_engine.settings import Settings

FOLDER = Path(ai_coordination_engine.__file__).with_name("console")
VALID = """
coordination: {name: Two, agents: [{name: a}, {name: b, runtime: {kind: function, name: gone}}]}
task:
  subtasks: [{agent: a, query: one}, {agent: b, query: two}]
  actions: {b: {after: a, when: "@ > `1`"}}
query: {x: 1.10}
"""


@pytest.fixture
async def client(shared_app: App) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(asgi_app(shared_app))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as made:
        yield made


async def checked(client: httpx.AsyncClient, text: str, path: str = "/run-file") -> Any:
    answered = await client.post(path, json={"text": text})
    assert answered.status_code == 200
    return answered.json()


@pytest.mark.parametrize("path", ["/", *[f"/console/{each.name}" for each in FOLDER.iterdir()]])
async def test_every_file_is_served_with_a_strict_policy(
    client: httpx.AsyncClient, path: str
) -> None:
    answered = await client.get(path)
    assert answered.status_code == 200
    policy = dict(
        part.strip().split(" ", 1)
        for part in answered.headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["worker-src"] == "'self'"
    assert policy["connect-src"] == "'self' ws://127.0.0.1 wss://127.0.0.1"
    assert "unsafe" not in str(policy)
    assert answered.headers["x-content-type-options"] == "nosniff"
    tag = answered.headers["etag"]
    again = await client.get(path, headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("host", ["x; script-src *", "a b", "x'y", ""])
async def test_a_host_cannot_change_the_policy(client: httpx.AsyncClient, host: str) -> None:
    answered = await client.get("/", headers={"host": host})
    assert "connect-src 'self';" in answered.headers["content-security-policy"]


async def test_scripts_are_scripts_and_nothing_else_is_served(client: httpx.AsyncClient) -> None:
    answered = await client.get("/console/main.js")
    assert answered.headers["content-type"] == "text/javascript; charset=utf-8"
    assert (await client.get("/console/..%2fsettings.py")).status_code == 404
    assert (await client.get("/console/none.js")).status_code == 404
    assert (await client.post("/console/main.js")).status_code == 405


@pytest.mark.parametrize("path", ["/run-file", "/acme/run-file"])
async def test_a_valid_run_file_is_answered_as_the_api_takes_it_with_its_dry_run(
    client: httpx.AsyncClient, path: str
) -> None:
    found = await checked(client, VALID, path)
    assert [(each["kind"], each["line"], each["column"]) for each in found["problems"]] == []
    run, plan = found["run"], found["plan"]
    assert (run["coordinationName"], run["taskQuery"]) == ("Two", '{"x": 1.10}')
    assert run["agentActions"]["b"]["predecessors"] == ["a"]
    assert {each["agent_uuid"] for each in run["agents"]} == {"a", "b"}
    assert (plan["layers"], plan["width"]) == ([["a"], ["b"]], 1)
    assert plan["agentCalls"] == {"a": 1, "b": 1}


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        (VALID.replace("after: a", "after: z"), (5, 24), 'agent "z" is not defined'),
        (VALID.replace("query: one", "ask: one"), (4, 25), '"ask"'),
        ("coordination: [", (1, 16), ""),
        ("", (1, 1), ""),
        ("\x07", (1, 1), "YAML forbids"),
    ],
)
async def test_problems_come_with_their_places_and_without_a_run(
    client: httpx.AsyncClient, text: str, place: tuple[int, int], message: str
) -> None:
    found = await checked(client, text)
    first = found["problems"][0]
    assert (first["line"], first["column"]) == place, first
    assert message in first["message"]
    assert (first["kind"], found["run"], found["plan"]) == ("error", None, None)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ({"json": {}}, 400),
        ({"json": {"text": 1}}, 400),
        ({"json": []}, 400),
        ({"content": b"{", "headers": {"content-type": "application/json"}}, 400),
        ({"content": b"text=x"}, 415),
        ({"json": {"text": "x" * 11_000_000}}, 413),
    ],
)
async def test_what_is_no_text_is_refused(
    client: httpx.AsyncClient, sent: dict[str, Any], status: int
) -> None:
    answered = await client.post("/run-file", **sent)
    assert answered.status_code == status
    assert answered.json()["errors"][0]["extensions"]["code"] in ("BAD_USER_INPUT", "TOO_COMPLEX")
    assert (await client.get("/run-file")).status_code == 405


async def test_a_large_text_is_bounded_and_holds_up_nobody(client: httpx.AsyncClient) -> None:
    nested = "a: " + "[" * 60 + "]" * 60
    texts = ["- x\n" * 20_000, nested, *["&a [*a]"] * 3]
    found = await asyncio.gather(*[checked(client, each) for each in texts])
    assert all(each["problems"] and len(each["problems"]) <= 200 for each in found)


async def test_a_server_that_must_verify_credentials_checks_nothing(shared_app: App) -> None:
    app = replace(shared_app, settings=Settings(auth="jwt"))
    transport = httpx.ASGITransport(asgi_app(app))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        answered = await client.post("/run-file", json={"text": VALID})
    assert answered.status_code == 401
