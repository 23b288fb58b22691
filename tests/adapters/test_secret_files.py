"""Secrets of one machine are files of a directory; AWS is not asked for them."""

from pathlib import Path

import pytest

from ai_coordination_engine import assembly
from ai_coordination_engine.adapters.secret_files import SecretFiles
from ai_coordination_engine.adapters.secrets import SecretsManager
from ai_coordination_engine.entrypoints.cli.webhook_keys import key_of
from ai_coordination_engine.entrypoints.local.home import home
from ai_coordination_engine.ports import SecretUnavailable
from ai_coordination_engine.runtime_ports import AgentFailure, AgentRequest
from ai_coordination_engine.settings import Settings

ARN = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:ace/openai-AbCdEf"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "ace").mkdir()
    (tmp_path / "ace" / "openai").write_text("sk-1\n")
    (tmp_path / "key").write_bytes(b"line one\nline two \r\n")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text"), [("ace/openai", "sk-1"), (ARN, "sk-1"), ("key", "line one\nline two ")]
)
def test_a_secret_is_the_text_of_its_file(folder: Path, name: str, text: str) -> None:
    assert SecretFiles(folder).value(name) == text
    assert SecretFiles(folder).value(name, max_age=0) == text


def test_a_rotated_secret_is_noticed_and_the_previous_one_is_beside_it(folder: Path) -> None:
    secrets = SecretFiles(folder)
    with pytest.raises(SecretUnavailable):
        secrets.value("ace/openai", previous=True)
    (folder / "ace" / "openai").rename(folder / "ace" / "openai.previous")
    (folder / "ace" / "openai").write_text("sk-2")
    assert (secrets.value("ace/openai"), secrets.value(ARN, previous=True)) == ("sk-2", "sk-1")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "'none' in ACE_SECRETS_DIR: No such file"),
        ("ace", "Is a directory"),
        ("key/below", "Not a directory"),
        ("a\0b", "it is no name of a file"),
        ("x" * 300, "File name too long"),
        ("../key", "a name that no file can have"),
        ("/etc/passwd", "a name that no file can have"),
        ("ace/../../key", "a name that no file can have"),
        ("", "a name that no file can have"),
        ("empty", "is empty"),
        ("binary", "is binary, not text"),
        ("large", "has more than 65536 bytes"),
    ],
)
def test_what_is_no_secret_is_unavailable_for_good(folder: Path, name: str, message: str) -> None:
    for file, data in {"empty": b"\n", "binary": b"\xff\xfe", "large": b"x" * 65_537}.items():
        (folder / file).write_bytes(data)
    with pytest.raises(SecretUnavailable, match=message) as refused:
        SecretFiles(folder).value(name)
    assert not refused.value.retryable
    assert "line one" not in str(refused.value)


def test_one_machine_reads_its_directory_and_never_asks_aws(folder: Path) -> None:
    endpoint = {"base_url": "http://127.0.0.1:9/", "model": "m", "api_key_secret": "ace/openai"}
    settings = Settings(auth="local", openai_endpoints={"default": endpoint}, agent_attempts=1)
    with home(None) as found:
        app = found.build(settings)
        with pytest.raises(AgentFailure, match="set ACE_SECRETS_DIR to a directory") as failed:
            app.runtimes.find("openai").run(AgentRequest(runtime={"endpoint": "default"}))
        assert (failed.value.retryable, failed.value.error_class) == (False, "not_allowed")
    with home(None) as found:
        app = found.build(settings.model_copy(update={"secrets_dir": str(folder)}))
        assert app.secrets.value("ace/openai") == "sk-1"


def test_elsewhere_they_are_where_the_settings_say(folder: Path) -> None:
    assert isinstance(assembly.secrets_of(Settings()), SecretsManager)
    settings = Settings(secrets_dir=str(folder), webhook_key_secret="key")
    assert assembly.secrets_of(settings).value("key") == "line one\nline two "
    assert key_of("acme", settings) == key_of("acme", Settings(webhook_key="line one\nline two "))
