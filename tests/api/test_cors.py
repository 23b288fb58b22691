"""The origins that may call the API, and the responses to preflights."""

import pytest

from ai_coordination_engine.api.cors import LOOPBACK, allows, is_preflight, response_headers

ANY_PORT = ["http://localhost:*", "https://app.example"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("port", ["", ":80", ":3000", ":65535"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_pages_of_loopback_may_call_from_any_port(scheme: str, host: str, port: str) -> None:
    assert allows(LOOPBACK, f"{scheme}://{host}{port}")


@pytest.mark.parametrize(
    "origin",
    [
        "",
        "null",
        "http://localhost.evil.example",
        "http://localhost:3000.evil.example",
        "http://localhost:3000@evil.example",
        "http://localhost:",
        "http://localhost:٣",
        "http://localhost:3000/",
        "http://localhost:123456",
        "http://127.0.0.1.evil.example",
        "http://evil.example",
        "http://evil.localhost:80",
        "http://127.0.0.2",
        "http://[::1].evil.example",
        "ftp://localhost",
        "file://",
        "*",
    ],
)
def test_pages_of_others_may_not(origin: str) -> None:
    assert not allows(LOOPBACK, origin)
    assert "access-control-allow-origin" not in response_headers({"origin": origin}, LOOPBACK)


def test_a_listed_origin_is_compared_whole_and_a_star_is_every_one() -> None:
    assert allows(ANY_PORT, "https://app.example")
    assert not allows(ANY_PORT, "https://app.example:8443")
    assert not allows([], "https://app.example")
    assert allows(["*"], "https://any.example")


def test_a_preflight_is_one_of_an_allowed_origin() -> None:
    asked = {"origin": "http://localhost:1", "access-control-request-method": "POST"}
    assert is_preflight("OPTIONS", asked, ANY_PORT)
    assert not is_preflight("GET", asked, ANY_PORT)
    assert not is_preflight("OPTIONS", {"origin": "http://localhost:1"}, ANY_PORT)
    assert not is_preflight("OPTIONS", asked | {"origin": "http://localhost.evil"}, ANY_PORT)
