"""JSON that is too deep, invalid text and wrong shapes give coded errors; nothing is
half-written.
"""

import json
from typing import Any

import pytest

from ai_coordination_engine.api.context import Context
from ai_coordination_engine.api.transport import answer
from ai_coordination_engine.engine.app import App
from ai_coordination_engine.http_messages import Request, Response
from benchmarks.harness.api import DOCUMENTS, Api
from tests.kit.api import document, error
from tests.kit.records import World, items, valid

HUGE = "ß" * 2_500_000  # 5 MB of UTF-8


@pytest.fixture
def app(shared_app: App) -> App:
    return shared_app


@pytest.fixture
def api(api: Api, tenant: str) -> Api:
    return api.as_tenant(tenant)


@pytest.fixture
def world(api: Api) -> World:
    return World(api)


def posted(api: Api, body: bytes) -> tuple[int, dict[str, Any]]:
    """Return the server's response to a body."""
    response = sent(api, body)
    return response.status, json.loads(response.body)


def sent(api: Api, body: bytes) -> Response:
    async def run() -> Response:
        request = Request("POST", {"content-type": "application/json"}, body=body)
        return await answer(request, DOCUMENTS, lambda: Context(api.app, api.tenant))

    return api._runner.run(run())


def code_of(api: Api, app: App, body: bytes) -> str:
    before = items(app)
    _, answered = posted(api, body)
    (found,) = answered["errors"]
    assert items(app) == before
    return str(found["extensions"]["code"])


CREATE = document("insertUpdateCoordination", ("agents", "updatedBy"))
DEEP = [("[", "]"), ('{"a":', "}")]


@pytest.mark.parametrize("depth", [101, 10_000, 400_000])
@pytest.mark.parametrize(("opening", "closing"), DEEP, ids=["lists", "objects"])
def test_json_that_is_too_deep_is_refused_in_variables(
    depth: int, opening: str, closing: str, api: Api, app: App
) -> None:
    deep = opening * depth + "1" + closing * depth
    body = (
        f'{{"query": {json.dumps(CREATE)}, "variables": {{"updatedBy": "a", "agents": [{deep}]}}}}'
    )
    assert code_of(api, app, body.encode()) == "BAD_USER_INPUT"


@pytest.mark.parametrize("depth", [10_000, 100_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ("{a:", "}")], ids=["lists", "objects"]
)
def test_json_that_is_too_deep_is_refused_in_the_document(
    depth: int, opening: str, closing: str, api: Api, app: App
) -> None:
    deep = opening * depth + "1" + closing * depth
    query = (
        f'mutation {{ insertUpdateCoordination(updatedBy: "a", agents: [{deep}]) {{ coordination {{'
        " agents } } }"
    )
    assert code_of(api, app, json.dumps({"query": query}).encode()) in (
        "TOO_COMPLEX",
        "BAD_USER_INPUT",
    )


def test_json_of_a_reasonable_depth_is_stored(api: Api) -> None:
    value: Any = 1
    for _ in range(45):
        value = [{"a": value}]
    agents = [{"agentUuid": "a", "deep": value}]
    status, answered = posted(
        api,
        json.dumps({"query": CREATE, "variables": {"updatedBy": "a", "agents": agents}}).encode(),
    )
    assert (status, "errors" in answered) == (200, False)
    assert answered["data"]["insertUpdateCoordination"]["coordination"]["agents"] == agents


@pytest.mark.parametrize(
    "value",
    [
        r'"\ud800"',
        r'"x\udfffy"',
        r'{"\ud800": 1}',
        r'[["\udc00\ud800"]]',
        "NaN",
        "Infinity",
        "1e999",
        "9" * 5000,
    ],
    ids=lambda value: value[:12],
)
@pytest.mark.parametrize(
    "name",
    ["agents", "updatedBy", "coordinationName", "coordinationDescription", "coordinationUuid"],
)
def test_what_json_cannot_carry_is_refused_in_variables(
    name: str, value: str, api: Api, app: App
) -> None:
    query = document("insertUpdateCoordination", tuple({"updatedBy": 1, name: 1}))
    given = {
        "updatedBy": '"a"',
        name: f'[{{"agentUuid": "a", "x": {value}}}]' if name == "agents" else value,
    }
    variables = ", ".join(f'"{key}": {text}' for key, text in given.items())
    body = f'{{"query": {json.dumps(query)}, "variables": {{{variables}}}}}'
    assert code_of(api, app, body.encode()) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "value", [r'"\ud800"', r'"\udc00\ud800"', "1e999", "9" * 5000], ids=lambda value: value[:12]
)
def test_what_json_cannot_carry_is_refused_in_the_document(value: str, api: Api, app: App) -> None:
    agents = f'[{{agentUuid: "a", x: {value}}}]'
    query = (
        f'mutation {{ insertUpdateCoordination(updatedBy: "a", agents: {agents}) {{ coordination {{'
        " agents } } }"
    )
    assert code_of(api, app, json.dumps({"query": query}).encode()) == "BAD_USER_INPUT"


@pytest.mark.parametrize("text", [b"\xff", b"\xc3(", b"\xed\xa0\x80", b"\x00"])
def test_a_body_that_is_not_utf_8_is_refused(text: bytes, api: Api, app: App) -> None:
    body = json.dumps({"query": CREATE, "variables": {"updatedBy": "@", "agents": []}}).encode()
    assert code_of(api, app, body.replace(b"@", text)) == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    "agents",
    [
        [None],
        ["a"],
        [5],
        [[]],
        [{}],
        [{"agentUuid": None}],
        [{"agentUuid": HUGE}],
        [{"agentUuid": "a"}, {"agent_uuid": "a"}],
        [{"agentUuid": "a", "agentType": "boss"}],
        [{"agentUuid": "a", "runtime": {"kind": "magic"}}],
        [{"agentUuid": "a", "runtime": {"kind": "openai", "apiKey": "hush"}}],
    ],
    ids=lambda agents: repr(agents)[:40],
)
def test_agents_of_a_wrong_shape_are_refused(agents: Any, api: Api, world: World, app: App) -> None:
    before = items(app)
    for own in ({}, {"coordinationUuid": world["coordinationUuid"]}):
        refused = error(api, "insertUpdateCoordination", updatedBy="ann", agents=agents, **own)
        assert refused["code"] == "BAD_USER_INPUT"
        assert refused["message"].startswith("agents")
        assert len(refused["message"]) < 1000
        assert "hush" not in refused["message"]
    assert items(app) == before


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("insertUpdateTask", {"agentActions": [{"a": {}}]}),
        ("insertUpdateTask", {"agentActions": "a"}),
        ("insertUpdateTask", {"agentActions": {"a": {"predecessors": "b"}}}),
        ("insertUpdateTask", {"agentActions": {"a": {"predecessors": [HUGE]}}}),
        ("insertUpdateTask", {"subtaskQueries": [{"subtaskQuery": "whose?"}]}),
        ("insertUpdateTask", {"subtaskQueries": ["a"]}),
        ("insertUpdateSession", {"subtaskQueries": [{"agentUuid": 5}]}),
        ("insertUpdateSessionAgent", {"agentAction": {"primaryPath": "perhaps"}}),
        ("insertUpdateSessionAgent", {"agentAction": "a"}),
    ],
)
def test_other_json_of_a_wrong_shape_is_refused(
    field: str, arguments: dict[str, Any], api: Api, world: World, app: App
) -> None:
    before = items(app)
    for new in (False, True):
        refused = error(api, field, **valid(field, world, new=new), **arguments)
        assert refused["code"] == "BAD_USER_INPUT"
        assert len(refused["message"]) < 1000
    assert items(app) == before


DIGITS = (
    '{"price":19.90,"exp":1E5,"long":0.10000000000000000555,"list":[-0.0,[1.50]],'
    '"int":12345678901234567890}'
)
START = """mutation($c: String!, $t: String!%s) {
  executeProcedureTaskSession(coordinationUuid: $c, taskUuid: $t, inputFiles: %s) {
    procedureTaskSession { coordinationUuid sessionUuid session { inputFiles } } } }"""
FILES = """query($coordinationUuid: String!, $sessionUuid: String!) {
  session(coordinationUuid: $coordinationUuid, sessionUuid: $sessionUuid) { inputFiles } }"""


@pytest.mark.parametrize("where", ["variables", "document", "blob"])
def test_numbers_come_back_with_their_digits(where: str, api: Api, world: World) -> None:
    padding = f',"text":"{"x" * 40_000}"' if where == "blob" else ""
    given = f"[{DIGITS[:-1]}{padding}}}]"
    start = START % (
        ("", given.replace('"', "")) if where == "document" else (", $f: [JSONCamelCase]", "$f")
    )
    keys = f'"c":"{world["coordinationUuid"]}","t":"{world["taskUuid"]}"'
    body = f'{{"query":{json.dumps(start)},"variables":{{{keys},"f":{given}}}}}'
    started = sent(api, body.encode()).body.decode()
    assert f'"inputFiles":{given}' in started
    found = json.loads(started)["data"]["executeProcedureTaskSession"]["procedureTaskSession"]
    asked = json.dumps(
        {"query": FILES, "variables": {name: found[name] for name in found if name != "session"}}
    )
    assert f'"inputFiles":{given}' in sent(api, asked.encode()).body.decode()
