"""`ace` as a process: arguments, exit codes and output."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ai_coordination_engine.domain.webhooks import tenant_key
from tests.kit.commands import ENVIRONMENT, EXAMPLES, ace


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ([], "Runs several AI agents"),
        (["serve"], "Serve the API"),
        (["demo"], "run an example to its end"),
        (["examples"], "copy"),
        (["examples", "copy"], "Copy an example"),
        (["run"], "Run a file until its session ends"),
        (["tables"], "create"),
        (["tables", "create"], "Create the tables"),
        (["schema", "print"], "Print the schema"),
        (["dlq"], "redrive"),
        (["dlq", "list"], "List the messages in the dead-letter queue"),
        (["dlq", "redrive"], "Send the dead letters again"),
        (["webhook-key"], "Print the key"),
        (["schedule"], "preview"),
        (["schedule", "preview"], "Print the next times"),
    ],
)
def test_every_command_has_help(command: list[str], expected: str) -> None:
    done = ace(*command, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in done.stdout


def test_help_loads_nothing_heavy() -> None:
    heavy = {"moto", "uvicorn", "graphene", "boto3", "botocore", "pynamodb", "httpx"}
    code = (
        "import sys, ai_coordination_engine.entrypoints.cli; sys.stdout.write('"
        " '.join(sys.modules))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert heavy & set(loaded) == set()


def test_version() -> None:
    from ai_coordination_engine import __version__

    assert ace("--version").stdout.strip() == __version__


def test_a_wrong_setting_is_named() -> None:
    done = ace("serve", ACE_WORKER_CONCURRENCY="many")
    assert done.returncode == 2
    assert done.stderr.startswith("ace: ACE_WORKER_CONCURRENCY: ")
    assert "Traceback" not in done.stderr


def test_what_is_wrong_within_a_setting_is_named_as_it_is_written() -> None:
    endpoints = {"mine": {"url": "http://127.0.0.1:1/v1"}, "Other": {"base_url": "nowhere"}}
    done = ace("serve", ACE_OPENAI_ENDPOINTS=json.dumps(endpoints))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "ace: ACE_OPENAI_ENDPOINTS.mine.base_url: is needed",
        "ace: ACE_OPENAI_ENDPOINTS.mine.url: is unknown",
        (
            "ace: ACE_OPENAI_ENDPOINTS.Other.base_url: must be a URL that begins with https:// or"
            " http:// and a host"
        ),
    ]


@pytest.mark.parametrize(
    "command", [["serve"], ["run", str(EXAMPLES / "hello.yaml")], ["demo", "--exit"]]
)
def test_an_allow_list_that_cannot_work_is_refused_at_the_start(command: list[str]) -> None:
    functions = '{"good": "json:loads", "x": "nomodule:fn"}'
    done = ace(*command, ACE_FUNCTIONS=functions, ACE_ACTION_FUNCTIONS='{"my.act": "json:nothing"}')
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        (
            "ace: ACE_FUNCTIONS: 'x' (nomodule:fn) failed: ModuleNotFoundError: No module named"
            " 'nomodule'"
        ),
        (
            "ace: ACE_ACTION_FUNCTIONS: 'my.act' (json:nothing) failed: "
            "AttributeError: module 'json' has no attribute 'nothing'"
        ),
    ]


def test_a_structured_setting_that_is_no_json_is_named() -> None:
    done = ace("serve", ACE_ACTION_FUNCTIONS="{bad")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "ace: ACE_ACTION_FUNCTIONS: it is not valid JSON: "
        "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)\n"
    )


LOG = """
from ai_coordination_engine.entrypoints.local.local_settings import log_to_stderr
from ai_coordination_engine.observability import logger
from ai_coordination_engine.settings import Settings
log_to_stderr(Settings())
logger.info("began")
logger.warning("lost")
"""


@pytest.mark.parametrize(
    ("level", "shown"),
    [(None, ["lost"]), ("INFO", ["began", "lost"]), ("warning", ["lost"]), ("ERROR", [])],
)
def test_warnings_are_shown_unless_the_level_says_otherwise(
    level: str | None, shown: list[str]
) -> None:
    environment = ENVIRONMENT | ({"ACE_LOG_LEVEL": level} if level else {})
    done = subprocess.run(
        [sys.executable, "-c", LOG], env=environment, capture_output=True, text=True, check=True
    )
    assert [json.loads(line)["message"] for line in done.stderr.splitlines()] == shown


def test_a_data_directory_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "journal.jsonl").write_text("[]\n")
    done = ace("serve", "--port", "0", "--data-dir", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"ace: {tmp_path} holds the data of an earlier version (journal.jsonl), which this version"
        " cannot read. Choose another directory, or move journal.jsonl out of this one.\n"
    )
    assert [each.name for each in tmp_path.iterdir()] == ["journal.jsonl"]


def test_an_unknown_setting_is_named_and_a_level_that_is_none_refused() -> None:
    done = ace("webhook-key", "acme", ACE_FUNCTION="{}", ACE_ZEBRA="1", ACE_LOG_LEVEL="loud")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "ace: ACE_FUNCTION is not a setting; did you mean ACE_FUNCTIONS?",
        "ace: ACE_ZEBRA is not a setting.",
        "ace: ACE_LOG_LEVEL: must be one of DEBUG, INFO, WARNING, ERROR, CRITICAL",
    ]
    assert ace("webhook-key", "acme", ACE_LOG_LEVEL="debug", ACE_WEBHOOK_KEY="m").returncode == 0


def test_the_variables_of_a_server_are_known_and_a_token_is_in_no_message() -> None:
    url = "http://127.0.0.1:9"
    done = ace("sessions", ACE_URL=url, ACE_TENANT="acme", ACE_TOKEN="my-secret", ACE_TOKN="x")
    assert (done.returncode, done.stdout) == (1, "")
    first, second = done.stderr.splitlines()
    assert first == "ace: ACE_TOKN is not a setting; did you mean ACE_TOKEN?"
    assert second.startswith(f"ace: {url}/acme/graphql does not answer (ConnectError")
    assert "my-secret" not in done.stderr


def test_webhook_key_prints_the_key_of_one_tenant() -> None:
    keys = {
        tenant: ace("webhook-key", tenant, ACE_WEBHOOK_KEY="master").stdout
        for tenant in ("acme", "acme#eu")
    }
    assert keys == {tenant: tenant_key("master", tenant) + "\n" for tenant in keys}
    assert len(set(keys.values())) == 2
    unset = ace("webhook-key", "acme")
    assert (unset.returncode, unset.stdout) == (2, "")
    assert unset.stderr.startswith("ace: Set ACE_WEBHOOK_KEY ")
    assert ace("webhook-key", "a#b#c", ACE_WEBHOOK_KEY="master").returncode == 2


def test_webhook_key_says_where_the_secrets_of_one_machine_are(tmp_path: Path) -> None:
    (tmp_path / "hook").write_text("master\n")
    found = ace("webhook-key", "acme", ACE_WEBHOOK_KEY_SECRET="hook", ACE_SECRETS_DIR=str(tmp_path))
    assert (found.returncode, found.stdout) == (0, tenant_key("master", "acme") + "\n")
    on_aws = {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}  # without an account
    unset = ace("webhook-key", "acme", ACE_WEBHOOK_KEY_SECRET="hook", **on_aws)
    assert (unset.returncode, unset.stdout) == (1, "")
    assert "cannot be read from AWS Secrets Manager (NoRegionError)" in unset.stderr
    assert "set ACE_SECRETS_DIR to the server's value" in unset.stderr


def test_schema_print_prints_sdl() -> None:
    done = ace("schema", "print")
    assert done.returncode == 0
    assert "executeProcedureTaskSession(" in done.stdout


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {},
            (
                "No AWS region is set: set AWS_REGION, or region in the profile that AWS_PROFILE"
                " names."
            ),
        ),
        (
            {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"},
            "No AWS credentials are found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and the others.",
        ),
        (
            {"AWS_PROFILE": "nobody"},
            "AWS_PROFILE names a profile that your AWS configuration does not have.",
        ),
    ],
)
def test_an_account_that_is_not_named_is_asked_for(variables: dict[str, str], told: str) -> None:
    nothing = {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **variables,
    }
    done = ace("tables", "create", **nothing)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"ace: {told}\n")


def test_an_interrupt_while_the_program_loads_ends_it_silently() -> None:
    code = (
        "import os, signal; from ai_coordination_engine.entrypoints.cli import ace;"
        "ace.without_collections = lambda: os.kill(os.getpid(), signal.SIGINT); ace.main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")
