"""Which address a client calls, and that a token is never shown."""

import httpx
import pytest

from ai_coordination_engine.client import Client
from ai_coordination_engine.client.endpoint import Bearer, Endpoint, endpoint, is_loopback

SECRET = "eyJhbGciOi.secret"


@pytest.mark.parametrize(
    ("url", "tenant", "expected"),
    [
        ("http://h", None, "http://h/graphql"),
        ("http://h:8000/", None, "http://h:8000/graphql"),
        ("http://h/graphql", None, "http://h/graphql"),
        ("http://h/graphql/", "acme", "http://h/acme/graphql"),
        ("https://h/stage", "acme", "https://h/stage/acme/graphql"),
        ("https://h/stage/graphql", "acme", "https://h/stage/acme/graphql"),
        ("http://h/acme/graphql", None, "http://h/acme/graphql"),
        (
            "http://h/ai_coordination_graphql",
            "acme",
            "http://h/acme/ai_coordination_graphql",
        ),
        ("http://h", "a b/ü?", "http://h/a%20b%2F%C3%BC%3F/graphql"),
        ("http://[::1]:8000", "acme", "http://[::1]:8000/acme/graphql"),
    ],
)
def test_the_address(url: str, tenant: str | None, expected: str) -> None:
    assert endpoint(url, tenant).url == httpx.URL(expected)


def test_a_part_is_named_in_a_header() -> None:
    found = endpoint("http://h", "acme#eu")
    assert found == Endpoint(httpx.URL("http://h/acme/graphql"), "acme", "eu")
    assert found.headers == {b"content-type": b"application/json", b"part-id": b"eu"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:8000",
        "localhost",
        "ftp://h",
        "http://",
        "http://me:pw@h",
        "http://h?token=pw",
        "a\nb",
    ],
)
def test_what_is_no_address_is_refused_without_a_secret(url: str) -> None:
    with pytest.raises(ValueError, match="the URL of the API") as raised:
        endpoint(url, None)
    assert "pw" not in str(raised.value)


@pytest.mark.parametrize("part", ["東", "a\nb", "a\x7f"])
def test_a_part_that_no_header_can_hold_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="the part id"):
        endpoint("http://h", f"acme#{part}")


@pytest.mark.parametrize("tenant", ["", "#eu", "acme#"])
def test_half_a_tenant_is_refused(tenant: str) -> None:
    with pytest.raises(ValueError, match="the tenant must be"):
        endpoint("http://h", tenant)


@pytest.mark.parametrize("token", ["", f"{SECRET}\n", f"a {SECRET}", f"{SECRET}ü", f"{SECRET}\0"])
def test_a_token_that_no_header_can_hold_is_refused_and_not_quoted(token: str) -> None:
    for build in (lambda: Bearer(token), lambda: Bearer(lambda: token).value()):
        with pytest.raises(ValueError, match="the token must be") as raised:
            build()
        assert SECRET not in repr(raised.value)


def test_a_token_is_in_no_repr() -> None:
    with Client("http://127.0.0.1:1", token=SECRET) as client:
        for each in (client, *vars(client).values(), *vars(client._http).values()):
            assert SECRET not in repr(each)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1", True),
        ("http://127.9.9.9", True),
        ("http://[::1]", True),
        ("http://localhost", True),
        ("http://a.localhost", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example", False),
    ],
)
def test_a_proxy_is_not_asked_for_this_machine(url: str, expected: bool) -> None:
    assert is_loopback(httpx.URL(url)) is expected
