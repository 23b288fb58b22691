"""Which keys of a record look like secrets, and where they are found."""

from typing import Any

import pytest

from ai_coordination_engine.domain.secrets import is_secret_name, refuse_secrets
from ai_coordination_engine.domain.shapes import parse_agents
from ai_coordination_engine.errors import BadUserInput

SECRETS = [
    "apiKey",
    "API_KEY",
    "api-key",
    "x-api-key",
    "OPENAI_API_KEY",
    "myAPIKey",
    "apikey2",
    "apiKeySecret",
    "api_keys",
    "Authorization",
    "Proxy-Authorization",
    "password",
    "dbPassword",
    "PGPASSWORD",
    "passphrase",
    "secret",
    "clientSecret",
    "webhook_secrets",
    "secretKey",
    "aws_secret_access_key",
    "private_key",
    "credentials",
    "token",
    "accessToken",
    "ACCESS_TOKEN",
    "accesstoken",
    "github_token",
    "X-Auth-Token",
    "refresh_tokens",
    "baseUrl",
]
DATA = [
    "page_token",
    "nextPageToken",
    "next_token",
    "continuation-token",
    "eos_token",
    "pad_token_id",
    "max_tokens",
    "maxTokens",
    "stop_tokens",
    "max_token",
    "skipToken",
    "offset_token",
    "marker-token",
    "token_count",
    "token_limit",
    "tokenizer",
    "tokens",
    "price_per_token",
    "secretary",
    "secret_name",
    "password_policy",
    "authorization_url",
    "api_key_id",
    "api_version",
    "access_key_id",
    "key",
    "partition_key",
    "sort_key",
    "public_key",
    "keyboard",
    "base_currency",
    "url",
    "monkey",
    "größe",
]


@pytest.mark.parametrize("name", SECRETS)
def test_a_name_of_a_secret_is_known_however_it_is_written(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize("name", DATA)
def test_a_name_of_data_is_taken_for_no_secret(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("runtime", "place"),
    [
        ({"headers": {"Authorization": "x"}}, "headers.Authorization"),
        ({"a": {"b": {"c": {"d": {"password": "x"}}}}}, "a.b.c.d.password"),
        ({"servers": [{"name": "a"}, {"env": {"API_KEY": "x"}}]}, r"servers\[1\].env.API_KEY"),
        ({"rows": [[{"token": "x"}]]}, r"rows\[0\]\[0\].token"),
        ({"credentials": {"user": "x"}}, "credentials"),
    ],
)
def test_a_secret_is_found_at_any_depth_and_in_lists(runtime: dict[str, Any], place: str) -> None:
    with pytest.raises(BadUserInput, match=rf"runtime: .*{place} does not belong in a record"):
        parse_agents(
            [{"agentUuid": "a", "runtime": {"kind": "function", "name": "echo", **runtime}}]
        )


@pytest.mark.parametrize(
    ("runtime", "place"),
    [
        ({"proxy": "https://me:hush@example.org"}, "proxy"),
        (
            {"a": {"proxies": ["https://example.org", "socks5://me:hush@example.org:1080"]}},
            r"a.proxies\[1\]",
        ),
    ],
)
def test_a_url_with_credentials_is_found_at_any_depth(runtime: dict[str, Any], place: str) -> None:
    with pytest.raises(BadUserInput, match=rf"{place} holds credentials") as caught:
        parse_agents(
            [{"agentUuid": "a", "runtime": {"kind": "function", "name": "echo", **runtime}}]
        )
    assert "hush" not in caught.value.message


def test_a_schema_may_describe_a_password() -> None:
    refuse_secrets(
        {
            "parameters": {
                "properties": {"password": {"type": "string"}, "token": {"type": "string"}}
            }
        }
    )
    refuse_secrets(
        {
            "guided_json": {
                "$defs": {"Token": {"type": "string"}},
                "definitions": {"Secret": {"enum": []}},
            }
        }
    )
