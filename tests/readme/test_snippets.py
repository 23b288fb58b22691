"""Every snippet of the README and of docs/ is run, or checked where it would leave this machine."""

import json
import re
import shlex
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import httpx
import pytest
from graphql import parse, validate
from pydantic_ai import Tool

from ai_coordination_engine import AgentRequest, Resumed
from ai_coordination_engine.adapters.runtimes.http import SIGNATURE_HEADER, TIMESTAMP_HEADER, sign
from ai_coordination_engine.api.enums import with_enums
from ai_coordination_engine.api.schema import SCHEMA
from ai_coordination_engine.api.webhooks import signature, tenant_key
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.planning import Planning
from ai_coordination_engine.domain.routing import Route
from ai_coordination_engine.entrypoints.cli.cli import app as ace
from ai_coordination_engine.entrypoints.cli.client import Client
from ai_coordination_engine.entrypoints.cli.failures import Failure
from ai_coordination_engine.entrypoints.cli.session_view import results
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.entrypoints.local.server import serving
from ai_coordination_engine.entrypoints.run_file.run_file import parse_run_file
from ai_coordination_engine.settings import Settings
from tests.kit.node import installed, needs_node
from tests.readme.documents import ROOT, SNIPPETS, Snippet, run, snippet, snippets

HERE = Path(__file__).parent
KEY = "a-long-secret"
SHOWN = ("mermaid", "")  # pictures
RUN_BY_MARK = {
    "python": (
        *(
            "# tour: python",
            "# clients: python",
            "# clients: watch",
            "# my_agents.py",
            "# test_my_agents.py",
            "# my_shop.py",
            "# my_tools.py",
            "# my_orders.py",
            "# writer.py",
            "# my_actions.py",
        ),
        *("# report.py", "# check_signature.py", "# mcp_report.py", "# a2a_report.py"),
    ),
    "js": ("// clients: apollo", "// clients: graphcache", "// clients: relay", "// live: clients"),
    "ts": ("// tour: typescript", "// codegen.ts", "// src/json.ts", "// src/sessions.ts"),
    "json": (
        '{"src"',
        '{"review"',
        '{"policy"',
        '{"tenant"',
        '{"schema": "ace.plan/1"',
        '{"agent": "billing"',
        '{"graphql"',
        '{"mcpServers"',
        '{"https://hooks',
    ),
}
RESULTS = {  # of the run files, by agent; a question is given its default answer
    "# hello.yaml": {"shouter": "OUTPUT OF GREETER:\nSAY HELLO TO THE WORLD\n\nSAY IT LOUDER"},
    "# refund.yaml": {
        "pay": None,
        "decline": "Output of approver:\nfalse\n\nWrite to Ada that there is no refund.",
    },
    "# offer.yaml": {
        "binder": (
            'Output of author:\n["WRITE ABOUT BASICS FOR A BEGINNER.", "WRITE ABOUT COSTS FOR A'
            ' BEGINNER."]\n\nThe offer:'
        )
    },
    "# report.yaml": {"editor": "A REPORT ON HEAT PUMPS, FOR BEGINNERS."},
    "# planned.yaml": {
        "writer": "OUTPUT OF RESEARCHER:\nWHAT ARE HEAT PUMPS?\n\nA PAGE ABOUT HEAT PUMPS."
    },
    "# divided.yaml": {
        "writer": "OUTPUT OF RESEARCHER:\nWHAT ARE HEAT PUMPS?\n\nA PAGE ABOUT HEAT PUMPS."
    },
    "# cities.yaml": {
        "visit": (
            '["What is worth a visit?\\n\\nItem:\\nOslo", "What is worth a'
            ' visit?\\n\\nItem:\\nLima"]'
        )
    },
}
MAKE = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
PARAMETERS = (ROOT / "template.yaml").read_text(encoding="utf-8").split("\nConditions:")[0]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]
OPENAI = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL")


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(Settings(auth="local", webhook_key=KEY), port=0) as running:
        yield running.url


def test_every_snippet_has_a_runner() -> None:
    of_languages = {"sh", "yaml", "graphql", "diff", *SHOWN}  # diff: test_growth.py
    by_mark = [(language, mark) for language, marks in RUN_BY_MARK.items() for mark in marks]
    assert [
        str(each)
        for each in SNIPPETS
        if each.language not in of_languages
        and not any(
            each.language == language and each.mark.startswith(mark) for language, mark in by_mark
        )
    ] == []
    assert {each.mark for each in snippets("yaml")} == set(RESULTS)


@pytest.mark.parametrize("given", snippets("graphql"), ids=str)
def test_an_operation_fits_the_schema(given: Snippet) -> None:
    assert validate(SCHEMA.graphql_schema, parse(given.text)) == []


@pytest.mark.parametrize("mark", RESULTS)
def test_a_run_file_has_its_result(url: str, mark: str) -> None:
    plan = parse_run_file(snippet(mark))
    warnings: list[str] = []
    with Client(url) as client:
        session_uuid = client.begin(plan, warnings.append)
        view = client.follow(plan, session_uuid, lambda _: None)
        while view.waiting:
            (agent,) = view.waiting
            assert agent.default_answer is not None
            client.answer(agent.record, agent.default_answer)
            view = client.follow(plan, session_uuid, lambda _: None)
    assert (view.status, warnings) == ("completed", [])
    assert {agent.name: agent.record.agent_output for agent in results(view)} == RESULTS[mark]


def test_an_exposed_task_is_called_as_shown(url: str) -> None:
    with Client(url) as client:
        client.start_file(parse_run_file(snippet("# report.yaml")))
    server = json.loads(snippet('{"mcpServers"'))["mcpServers"]["ace"]
    address = f"{url.removesuffix('/graphql')}{httpx.URL(server['url']).path}"
    assert server["type"] == "http"
    said = run(sys.executable, "-c", snippet("# mcp_report.py"), MCP=address)
    assert said == "A REPORT ON RAIN, FOR CHILDREN.\n"
    by_a2a = run(sys.executable, "-c", snippet("# a2a_report.py"), A2A=address[:-3] + "a2a")
    assert by_a2a == "TASK_STATE_COMPLETED A REPORT ON RAIN, FOR CHILDREN.\n"


def test_receivers_of_notices_are_allowed_as_shown() -> None:
    settings = Settings(a2a_push=json.loads(snippet('{"https://hooks')))
    (allowed,) = settings.a2a_push.values()
    assert allowed.headers_secret == {"Authorization": "ace/hooks"}
    with pytest.raises(ValueError, match="must be a URL that begins with https://"):
        Settings(a2a_push={"hooks.example": allowed})


def test_a_check_prints_what_its_page_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "offer.yaml"
    file.write_text(snippet("# offer.yaml"), encoding="utf-8")
    ace(["check", str(file)], result_action="return_value")
    assert capsys.readouterr().out == snippet("layer 1: outliner")


def test_a_choice_is_one() -> None:
    agents = [{"agent_uuid": name} for name in ("desk", "billing")]
    wanted = Route("desk", agents, {}, 3, 3).structured()
    assert wanted.read(snippet('{"agent": "billing"'), Budget())["agent"] == "billing"


def test_a_plan_may_be_run() -> None:
    agents = [{"agent_uuid": name} for name in ("finder", "reader", "writer")]
    text = snippet('{"schema": "ace.plan/1"')
    assert [each.id for each in Planning(agents, {}).read(text).steps] == ["s1", "s2", "s3", "s4"]


def test_the_python_client_answers_what_waits_for_a_person(url: str) -> None:
    plan = replace(
        parse_run_file(snippet("# refund.yaml")), coordination_uuid="refunds-of-the-client"
    )
    with Client(url) as client:
        session_uuid = client.start_file(plan)
        client.follow(plan, session_uuid, lambda _: None)
        assert (
            run(sys.executable, "-c", snippet("# clients: python"), API=url)
            == "approver asks ann\n"
        )
        deadline = time.monotonic() + 60
        while (view := client.view(plan.coordination_uuid, session_uuid)).status != "completed":
            assert time.monotonic() < deadline
    assert [agent.state for agent in results(view)] == ["completed", "skipped"]


def test_the_python_client_watches_what_it_starts(url: str) -> None:
    lines = run(sys.executable, "-c", snippet("# clients: watch"), API=url).splitlines()
    assert lines[-1] == "completed ['completed', 'completed']"


def test_a_report_of_a_job_is_read_as_shown(url: str) -> None:
    body = snippet('{"tenant"').encode()
    timestamp = str(int(time.time()))
    signed = {
        "X-Ace-Timestamp": timestamp,
        "X-Ace-Signature": signature(tenant_key(KEY, "acme"), timestamp, body),
    }
    answer = httpx.post(url.replace("graphql", "async-tasks"), content=body, headers=signed)
    assert (answer.status_code, "job-1" in answer.text) == (
        404,
        True,
    )  # it was understood; there is no such job


def test_a_job_reports_as_shown(url: str) -> None:
    names: dict[str, Any] = {}
    exec(snippet("# report.py"), names)  # noqa: S102
    where, key = url.replace("graphql", "async-tasks"), tenant_key(KEY, "acme")
    # signed; no such job
    assert names["report"](where, "acme", key, asyncTaskUuid="job-1", result="done") == 404
    assert names["report"](where, "acme", "another", asyncTaskUuid="job-1", result="done") == 401


def test_a_service_checks_the_signature_as_shown() -> None:
    names: dict[str, Any] = {}
    exec(snippet("# check_signature.py"), names)  # noqa: S102
    now, body = int(time.time()), b'{"input": "hey"}'
    for timestamp, signed, is_genuine in (
        (now, body, True),
        (now, b"other", False),
        (now - 600, body, False),
    ):
        headers = {
            TIMESTAMP_HEADER: str(timestamp),
            SIGNATURE_HEADER: sign(KEY.encode(), str(timestamp), signed),
        }
        assert names["is_genuine"](headers, body) == is_genuine


@needs_node
@pytest.mark.conformance
def test_types_are_generated_from_the_schema_as_shown() -> None:
    packages = installed(HERE)
    work = Path(mkdtemp(dir=packages.parent))
    try:
        (work / "node_modules").symlink_to(packages / "node_modules")
        (work / "src").mkdir()
        (work / "schema.graphql").write_text(with_enums(str(SCHEMA)), encoding="utf-8")
        for name in ("codegen.ts", "src/json.ts", "src/sessions.ts"):
            (work / name).write_text(snippet(f"// {name}"), encoding="utf-8")
        shutil.copy(HERE / "no_unknown.ts", work / "src")
        bin_ = work / "node_modules/.bin"
        run(str(bin_ / "graphql-codegen"), cwd=work)
        options = (
            "--strict --noEmit --skipLibCheck --module esnext --moduleResolution bundler --target"
            " es2022"
        )
        run(str(bin_ / "tsc"), *options.split(), "src/no_unknown.ts", cwd=work)
        generated = (work / "src/gql/graphql.ts").read_text(encoding="utf-8")
    finally:
        shutil.rmtree(work)
    assert "SessionsQueryVariables" in generated
    assert "backend refused a request; its message takes over. */\n  | 'lease expired'" in generated
    assert "/** Nothing new begins until a person resumes it. */\n  | 'paused'" in generated


def commands(text: str) -> Iterator[list[str]]:
    """Yield the commands of a shell snippet: variables, program and arguments."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


@pytest.mark.parametrize(
    "given", [each for each in snippets("sh") if "tour: curl" not in each.mark], ids=str
)
def test_a_command_is_one_that_there_is(given: Snippet) -> None:
    for words in commands(given.text):
        while "=" in words[0]:
            check_variable(*words.pop(0).split("=", 1))
        check_command(*words)


def check_variable(name: str, value: str) -> None:
    if not name.startswith("ACE_"):
        assert name in (*OPENAI, "OTEL_EXPORTER_OTLP_ENDPOINT", "PYTHONPATH", "CI")
        return
    field = name.removeprefix("ACE_").lower()
    given = json.loads(value) if value.startswith("{") else value
    assert field in Settings.model_validate({field: given}).model_fields_set


def check_command(program: str, *arguments: str) -> None:
    match program:
        case "make":
            assert arguments[0] in MAKE
        case ".venv/bin/ace":
            redirected = arguments.index(">") if ">" in arguments else len(arguments)
            ace.parse_args(list(arguments[:redirected]), print_error=False, exit_on_error=False)
        case ".venv/bin/pytest":
            assert (ROOT / arguments[-1]).exists()
        case "aws":
            overrides = (
                arguments[arguments.index("--parameter-overrides") + 1 :]
                if "deploy" in arguments
                else ()
            )
            assert [
                each for each in overrides if f"\n  {each.split('=')[0]}:" not in PARAMETERS
            ] == []
        case "cp" | "install":
            assert "# to restore" in snippet(".venv/bin/ace backup")  # which is run
        case "pip" if extras := re.fullmatch(r"ai-coordination-engine\[(.+)\]", arguments[-1]):
            assert {*extras[1].split(",")} <= {*EXTRAS}
        case "npm" | "npx" | "pip":
            check_packages(*arguments)
        case "docker":
            assert arguments[:2] == ("run", "--rm")
            assert re.fullmatch(r"[a-z/]+:[0-9.]+", arguments[-1])  # pinned
        case _:
            pytest.fail(f"no runner for the command {program}")


def test_a_backup_is_restored_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with home(Path("data")) as found:
        found.build(Settings(auth="local")).records.blobs.put("mine", b"1")
        for program, *arguments in commands(snippet(".venv/bin/ace backup")):
            if program != ".venv/bin/ace":
                run(program, *arguments, cwd=tmp_path)
            elif arguments[0] == "check-db":
                with pytest.raises(Failure, match="1 problem found"):  # nothing names the value
                    ace(arguments, result_action="return_value")
            elif arguments[0] == "backup":
                ace(arguments, result_action="return_value")
    assert "Saved data/ace.db to backup.db" in capsys.readouterr().out
    with home(Path("restored")) as found:
        assert found.build(Settings(auth="local")).records.blobs.get("mine") == b"1"


def check_packages(*arguments: str) -> None:
    """Check that the snippet installs the packages that the tests install."""
    known = {"graphql-codegen", "tour.mts", "tsx"}
    for folder in ("readme", "clients", "clients/relay"):
        known |= set(
            json.loads((HERE.parent / folder / "package.json").read_text(encoding="utf-8"))[
                "dependencies"
            ]
        )
    assert [
        each for each in arguments if each not in known and each not in ("install", "--save-dev")
    ] == []


def test_a_function_asks_and_a_tool_has_a_schema() -> None:
    orders: dict[str, Any] = {}
    exec(snippet("# my_orders.py"), orders)  # noqa: S102
    request = AgentRequest(query="tea")
    asked = orders["order"](request)
    assert asked.question.text == "Shall I order tea?"
    resumed = Resumed(asked.question.state, "yes")
    assert orders["order"](replace(request, resumed=resumed)) == "ordered"
    tools: dict[str, Any] = {}
    exec(snippet("# my_tools.py"), tools)  # noqa: S102
    schema = Tool(tools["order"]).function_schema.json_schema
    assert schema["properties"]["count"] == {"description": "how many", "type": "integer"}
    assert tools["stock"]("tea") == 3
