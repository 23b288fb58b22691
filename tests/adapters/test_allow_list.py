"""The API warns, when a record is written, of what the settings do not allow."""

import sys
from dataclasses import replace
from typing import Any

import pytest

from ai_coordination_engine import assembly, bootstrap
from ai_coordination_engine.errors import BadUserInput
from ai_coordination_engine.runtime_settings import AgentModel, OpenAIEndpoint
from ai_coordination_engine.settings import Settings
from benchmarks.harness.api import Api

COORDINATION = """mutation($c: String!, $agents: [JSONCamelCase]) {
  insertUpdateCoordination(coordinationUuid: $c, coordinationName: "c", agents: $agents,
      updatedBy: "me") {
    coordination { coordinationUuid } } }"""
TASK = """mutation($actions: JSONCamelCase) {
  insertUpdateTask(coordinationUuid: "c", taskUuid: "t", taskName: "t", agentActions: $actions,
      updatedBy: "me") {
    task { agentActions } } }"""
SETTINGS = Settings(
    functions={"mine": "json:dumps"},
    action_functions={"my.act": "json:dumps"},
    http_allowed_urls=["https://agents.example/"],
    openai_endpoints={"default": OpenAIEndpoint(base_url="https://models.example/v1")},
)


@pytest.fixture
def knowing(api: Api) -> Api:
    """An API whose process has the settings of the workers."""
    api.app = replace(api.app, allow_list=assembly.allow_list(SETTINGS))
    return api


def warnings(api: Api, document: str, **variables: Any) -> list[str]:
    answer = api.send(document, **variables)
    assert "errors" not in answer
    told: list[str] = answer.get("extensions", {}).get("warnings", [])
    return told


def test_a_runtime_that_is_not_allowed_is_stored_with_a_warning_that_names_the_setting(
    knowing: Api,
) -> None:
    runtimes = [
        {"kind": "function", "name": "mine"},
        {"kind": "function", "name": "other"},
        {"kind": "http", "url": "https://agents.example/a"},
        {"kind": "http", "url": "https://other.example/a"},
        {"kind": "openai", "endpoint": "default"},
        {"kind": "openai", "endpoint": "other"},
    ]
    agents = [{"agentUuid": f"a{index}", "runtime": each} for index, each in enumerate(runtimes)]
    assert warnings(
        knowing, COORDINATION, c="c", agents=[*agents, {"agentUuid": "by-default"}]
    ) == [
        (
            "agents[1].runtime: the agent will fail: the function 'other' is not offered;"
            " `runtime.name` is one of: answer, echo, mine, upper, word_count; see ACE_FUNCTIONS."
        ),
        (
            "agents[3].runtime: the agent will fail: the URL of the agent at other.example is not"
            " among those allowed by the settings; see ACE_HTTP_ALLOWED_URLS."
        ),
        (
            "agents[5].runtime: the agent will fail: the model endpoint 'other' is not configured;"
            " configured: default; see ACE_OPENAI_ENDPOINTS."
        ),
    ]


def test_what_an_agent_with_tools_lacks_names_the_one_setting_that_has_it() -> None:
    agent = {"kind": "agent", "model": "test:*"}
    allowed = assembly.allow_list(Settings(agent_models={"test:*": AgentModel()}))
    for more, told in (
        ({"tools": ["rm"]}, "the tool 'rm' is not offered; it is one of: none; see ACE_TOOLS"),
        (
            {"tools": ["mcp:x"]},
            "the MCP server 'x' is not offered; it is one of: none; see ACE_MCP_SERVERS",
        ),
        ({"tools": "rm"}, "`runtime.tools` must be a list of names"),
    ):
        assert allowed.of_runtime({**agent, **more}) == told
    assert str(allowed.of_runtime({"kind": "agent", "model": "x:y"})).endswith(
        "; see ACE_AGENT_MODELS"
    )


def test_an_extra_that_is_missing_is_no_matter_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ai_coordination_engine.adapters.runtimes.agent", None)
    told = assembly.allow_list(Settings()).of_runtime({"kind": "agent", "model": "x:y"})
    assert str(told).startswith("agents of the kind 'agent' need the extra 'agents'")
    assert "see ACE_" not in str(told)


def test_an_action_function_that_is_not_allowed_is_stored_with_a_warning(knowing: Api) -> None:
    warnings(knowing, COORDINATION, c="c", agents=[{"agentUuid": uuid} for uuid in "abc"])
    actions = {
        "a": {"actionFunction": {"moduleName": "my", "functionName": "act"}},
        "b": {"actionFunction": {"moduleName": "my", "functionName": "other"}},
        "c": {"actionFunction": {}},
    }
    assert warnings(knowing, TASK, actions=actions) == [
        "agentActions.b.actionFunction: the agent will fail: the action function 'my.other' is not"
        " allowed; see ACE_ACTION_FUNCTIONS."
    ]


def test_an_api_without_the_settings_of_the_workers_says_nothing_of_them(api: Api) -> None:
    agents = [{"agentUuid": "a", "runtime": {"kind": "function", "name": "other"}}]
    assert warnings(api, COORDINATION, c="c", agents=agents) == []


@pytest.mark.parametrize(
    ("runtime", "problem"),
    [
        (
            {"kind": "bogus"},
            "the runtime kind 'bogus' is unknown; known kinds: function, http, openai, bedrock,"
            " lambda, agentcore, agent, a2a",
        ),
        ({"kind": "openai"}, "the model endpoint 'default' is not configured; configured: none"),
        ({"kind": "function", "name": "upper"}, None),
    ],
)
def test_a_default_runtime_that_cannot_work_is_a_problem_of_its_setting(
    runtime: dict[str, object], problem: str | None
) -> None:
    found = list(assembly.allow_list(Settings(default_runtime=runtime)).problems())
    assert found == ([] if problem is None else [f"ACE_DEFAULT_RUNTIME: {problem}"])


def test_no_application_is_built_with_a_default_runtime_of_an_unknown_kind() -> None:
    with pytest.raises(
        BadUserInput,
        match=r"^ACE_DEFAULT_RUNTIME: the kind 'bogus' is unknown; it takes one of: fu",
    ):
        bootstrap.build_app(Settings(default_runtime={"kind": "bogus"}))
