"""The processes of a directory have the same settings, as far as these decide about attempts."""

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from ai_coordination_engine.entrypoints.cli.explanations import explain
from ai_coordination_engine.entrypoints.local import agreement
from ai_coordination_engine.entrypoints.local.agreement import (
    SettingsDiffer,
    agree,
    differences,
    shared,
)
from ai_coordination_engine.entrypoints.local.data_dir import say
from ai_coordination_engine.entrypoints.local.home import WrongInput, home, joined
from ai_coordination_engine.entrypoints.local.processes import Processes
from ai_coordination_engine.settings import Settings
from tests.kit.commands import ace

SHOUT = Settings(functions={"shout": "my_agents:shout"})
NONE = Settings()
SECRETS = Settings(
    http_signing_key="the-secret-1",  # type: ignore[arg-type]
    webhook_key="the-secret-2",  # type: ignore[arg-type]
    default_runtime={"kind": "http", "url": "https://a/?key=the-secret-3", "token": "the-secret-4"},
    openai_endpoints={
        "default": {  # type: ignore[dict-item]
            "base_url": "https://b/v1?key=the-secret-5",
            "api_key": "the-secret-6",
        }
    },
)


def test_what_an_attempt_depends_on_is_shared_and_the_rest_is_of_each_process() -> None:
    of_each = {*Settings.model_fields} - {*shared(NONE)}
    assert of_each == {
        "a2a_push",
        "agents_queue_url",
        "auth",
        "aws_client",
        "bucket",
        "cors_origins",
        "iam_tenants",
        "log_level",
        "metrics_by_tenant",
        "metrics_emf",
        "public_url",
        "queue_url",
        "tenant_claim",
        "watch_seconds",
        "webhook_key",
        "webhook_key_secret",
        "worker_concurrency",
        "worker_extra",
    }


def test_no_value_of_a_secret_is_compared_or_written(tmp_path: Path) -> None:
    with home(tmp_path, shared=shared(SECRETS)):
        files = [each for each in tmp_path.rglob("*") if each.is_file()]
        written = b"".join(each.read_bytes() for each in files)
    assert b"https://b/v1" in written
    assert b"the-secret" not in written
    other = Settings(http_signing_key="another", **_without("http_signing_key", SECRETS))
    assert [*differences(shared(SECRETS), shared(other))] == []
    missing = Settings(**_without("http_signing_key", SECRETS))
    assert [*differences(shared(missing), shared(SECRETS))] == [
        'ACE_HTTP_SIGNING_KEY: it has "**********", this process nothing'
    ]


def _without(name: str, settings: Settings) -> dict[str, Any]:
    names = settings.model_fields_set - {name}
    return {each: getattr(settings, each) for each in names}


@pytest.mark.parametrize(
    ("own", "others", "line"),
    [
        ({}, {"functions": {"b": "m:b", "a": "m:a"}}, 'ACE_FUNCTIONS: "b", "a" missing here'),
        ({"functions": {"a": "m:a"}}, {}, 'ACE_FUNCTIONS: "a" only here'),
        (
            {"action_functions": {"a.a": "m:a", "c.c": "m:c"}},
            {"action_functions": {"a.a": "n:a", "b.b": "m:b"}},
            'ACE_ACTION_FUNCTIONS: "b.b" missing here; "c.c" only here; "a.a" different here',
        ),
        (
            {"http_allowed_urls": ["https://a/"]},
            {"http_allowed_urls": ["https://b/", "https://a/"]},
            'ACE_HTTP_ALLOWED_URLS: "https://b/" missing here',
        ),
        (
            {"openai_endpoints": {"x": {"base_url": "https://a", "model": "m"}}},
            {"openai_endpoints": {"x": {"base_url": "https://a", "model": "n"}}},
            'ACE_OPENAI_ENDPOINTS: "x" different here',
        ),
        (
            {"default_runtime": {"kind": "function", "name": "a"}},
            {"default_runtime": {"kind": "openai"}},
            'ACE_DEFAULT_RUNTIME: "name" only here; "kind" different here',
        ),
        (
            {"budgets": {"t": {"tokens": 1}, "*": {"tokens": 5}}},
            {"budgets": {"t": {"tokens": 2}, "u": {"microUsd": 0}}},
            'ACE_BUDGETS: "u" missing here; "*" only here; "t" different here',
        ),
        (
            {"budget_max_tokens": 5},
            {},
            "ACE_BUDGET_MAX_TOKENS: it has 4096, this process 5",
        ),
        ({"secrets_dir": "/a"}, {}, 'ACE_SECRETS_DIR: it has "", this process "/a"'),
        ({"table_prefix": "b"}, {}, 'ACE_TABLE_PREFIX: it has "ace", this process "b"'),
        (
            {"agent_timeout_seconds": 9},
            {},
            "ACE_AGENT_TIMEOUT_SECONDS: it has 120.0, this process 9.0",
        ),
    ],
)
def test_a_difference_names_the_variable_and_what_is_where(
    own: dict[str, Any], others: dict[str, Any], line: str
) -> None:
    assert [*differences(shared(Settings(**own)), shared(Settings(**others)))] == [line]


def test_keys_of_providers_and_programs_of_the_machine_must_agree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    servers = {"files": {"command": "files-server"}}
    settings = Settings(agent_models={"openai-responses:*": {}}, mcp_servers=servers)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    lacking = shared(settings)
    program = tmp_path / "files-server"
    program.touch(0o700)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-s3cret")
    having = shared(settings)
    assert sorted(differences(lacking, having)) == [
        'ACE_AGENT_MODELS: "OPENAI_API_KEY" missing here',
        'ACE_MCP_SERVERS: "files-server" missing here',
    ]
    assert "s3cret" not in str(having)


def test_what_one_version_does_not_know_is_no_difference() -> None:
    assert [*differences({"a": 1, "b": 2}, {"b": 2, "c": 3})] == []


@contextmanager
def server(folder: Path, settings: Settings = SHOUT) -> Iterator[None]:
    with home(folder, shared=shared(settings)):
        yield


def refused(folder: Path, settings: Settings = NONE) -> str:
    with (
        pytest.raises(WrongInput) as raised,
        joined(folder, "full", shared(settings)),
    ):
        pass
    assert explain(raised.value) == (f"ace: {raised.value}", 2)
    return str(raised.value)


def test_a_worker_with_other_settings_is_refused_beside_a_server_and_after_it(
    tmp_path: Path,
) -> None:
    with server(tmp_path):
        assert refused(tmp_path).splitlines()[1] == 'ace: ACE_FUNCTIONS: "shout" missing here'
        with joined(tmp_path, "full", shared(SHOUT)):
            pass
    said = refused(tmp_path)
    assert said.startswith(f"The server of {tmp_path} had other settings than this process:\n")
    with joined(tmp_path, "full", shared(SHOUT)):
        pass


def test_a_worker_with_other_budgets_is_refused(tmp_path: Path) -> None:
    with server(tmp_path, Settings(budgets={"*": {"tokens": 5}})):  # type: ignore[dict-item]
        assert 'ACE_BUDGETS: "*" missing here' in refused(tmp_path)


def test_a_server_with_other_settings_is_refused_while_a_worker_lives(tmp_path: Path) -> None:
    with server(tmp_path):
        pass
    with joined(tmp_path, "full", shared(SHOUT)), pytest.raises(WrongInput, match="ACE_FUNCTIONS"):
        server(tmp_path, NONE).__enter__()
    assert refused(tmp_path)  # and has not said anything of itself
    with server(tmp_path, NONE):
        pass


def test_the_next_server_may_have_other_settings_since_it_began(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times = iter([100.0, 200.0])
    monkeypatch.setattr(agreement, "time", lambda: next(times))
    found = []
    for settings in (SHOUT, SHOUT, NONE, NONE, SHOUT):
        with home(tmp_path, shared=shared(settings)) as opened:
            found.append(opened.build(settings).settings_since)
            with joined(tmp_path, "full", shared(settings)) as worker:
                assert worker.build(settings).settings_since == found[-1]
    assert found == [0, 0, 100.0, 100.0, 200.0]
    changed = [vars(each)["differences"] for each in caplog.records]
    assert changed == [
        ['ACE_FUNCTIONS: "shout" missing here'],
        ['ACE_FUNCTIONS: "shout" only here'],
    ]


@pytest.mark.parametrize("said", [{}, {"settings": None}, {"settings": {}, "since": "x"}])
def test_a_server_that_said_nothing_of_use_changes_nothing(
    tmp_path: Path, said: Mapping[str, Any]
) -> None:
    say(tmp_path, said)
    with closing(Processes(tmp_path)) as processes:
        assert agree(tmp_path, processes, shared(NONE), is_server=False) == 0


def test_processes_that_show_no_settings_are_not_compared(tmp_path: Path) -> None:
    with closing(Processes(tmp_path)), closing(Processes(tmp_path, shared(NONE))) as own:
        assert agree(tmp_path, own, shared(NONE), is_server=True) == 0
    with (
        closing(Processes(tmp_path, shared(SHOUT))),
        closing(Processes(tmp_path, shared(NONE))) as own,
        pytest.raises(SettingsDiffer),
    ):
        agree(tmp_path, own, shared(NONE), is_server=True)


def test_ace_worker_without_the_functions_of_the_server_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with server(tmp_path / "data", Settings(functions={"loud": "builtins:str"})):
        done = ace("worker", "--data-dir", str(tmp_path / "data"))
    assert (done.returncode, done.stdout) == (2, "")
    lines = done.stderr.splitlines()
    assert lines[1] == 'ace: ACE_FUNCTIONS: "loud" missing here'
    assert [each[:5] for each in lines] == ["ace: "] * 3
