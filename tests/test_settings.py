"""Settings come from the arguments, the environment and the defaults, in this order."""

import pytest
from pydantic import ValidationError

from ai_coordination_engine.settings import NotJson, Settings


@pytest.fixture(autouse=True)
def _default_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever client the suite runs with."""
    monkeypatch.delenv("ACE_AWS_CLIENT", raising=False)


def test_environment_is_read_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ace_bucket", "lower")
    monkeypatch.setenv("ACE_INLINE_LIMIT", "300")
    monkeypatch.setenv("ACE_FUNCTIONS", '{"f": "a:b"}')
    monkeypatch.setenv("ACE_CORS_ORIGINS", '["http://a"]')
    monkeypatch.setenv("ACE_HTTP_SIGNING_KEY", "null")
    settings = Settings()
    assert (settings.bucket, settings.inline_limit) == ("lower", 300)
    assert (settings.functions, settings.cors_origins) == ({"f": "a:b"}, ["http://a"])
    assert settings.http_signing_key is not None
    assert settings.http_signing_key.get_secret_value() == "null"  # a text as any other
    assert settings.model_fields_set == {
        "bucket",
        "cors_origins",
        "functions",
        "http_signing_key",
        "inline_limit",
    }


def test_arguments_come_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACE_BUCKET", "environment")
    monkeypatch.setenv("ACE_TABLE_PREFIX", "t")
    settings = Settings(bucket="argument")
    assert (settings.bucket, settings.table_prefix) == ("argument", "t")
    assert settings.model_copy(update={"auth": "local"}).table_prefix == "t"


def test_null_of_a_structured_variable_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACE_FUNCTIONS", "null")
    settings = Settings()
    assert (settings.functions, settings.model_fields_set) == ({}, set())


@pytest.mark.parametrize("text", ["", "{x", "{'f': 'a:b'}"])
def test_structured_variable_that_is_not_json_is_named(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("ACE_FUNCTIONS", text)
    with pytest.raises(NotJson, match="ACE_FUNCTIONS: it is not valid JSON"):
        Settings()


def test_wrong_value_names_its_setting_and_shows_no_value(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACE_INLINE_LIMIT", "5")
    with pytest.raises(ValidationError) as raised:
        Settings()
    (problem,) = raised.value.errors()
    assert (problem["loc"], problem["type"]) == (("inline_limit",), "greater_than_equal")
    assert "input_value" not in str(raised.value)
