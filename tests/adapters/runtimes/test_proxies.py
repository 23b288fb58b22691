"""Each request uses the right proxy of the environment, and an unusable proxy is reported."""

from typing import Any

import httpx
import pytest

from ai_coordination_engine.adapters.runtimes.proxies import ProxiedTransport, is_loopback
from ai_coordination_engine.adapters.runtimes.web import Web
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.settings import keep_loopback_from_proxies, proxies

NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def way(url: str) -> str | None:
    return ProxiedTransport(proxies()).proxy_variable(httpx.URL(url))


def failure_of(url: str) -> AgentFailure:
    with pytest.raises(AgentFailure) as failure:
        Web().post(url, b"{}", {}, seconds=5, service="it")
    return failure.value


@pytest.mark.parametrize(
    "url", ["socks5h://127.0.0.1:1", "ftp://x", "http://[", "nonsense", "http://user:p w@x"]
)
def test_a_proxy_does_not_matter_on_loopback(
    server: Any, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    for name in ("ALL_PROXY", "HTTP_PROXY", "https_proxy"):
        monkeypatch.setenv(name, url)
    monkeypatch.setenv("NO_PROXY", "[::1],::1/128,:,,*.x,]")
    server.answers(b"direct")
    assert Web().post(server.url, b"{}", {}, seconds=5, service="it").text == "direct"


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "127.8.9.1", "[::1]", "[::ffff:127.0.0.1]"]
)
def test_loopback_takes_no_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example")
    assert way(f"http://{host}:8080/") is None
    assert is_loopback(httpx.URL(f"http://{host}").host)


def test_a_scheme_has_its_own_proxy_before_the_one_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (way("https://a.example"), way("http://a.example")) == (None, None)
    monkeypatch.setenv("ALL_PROXY", "proxy.example:3128")
    monkeypatch.setenv("HTTPS_PROXY", "http://other.example")
    assert (way("https://a.example"), way("http://a.example")) == ("HTTPS_PROXY", "ALL_PROXY")
    monkeypatch.setenv("https_proxy", "http://third.example")
    assert way("https://a.example") == "https_proxy"
    monkeypatch.setenv("https_proxy", "")
    assert way("https://a.example") == "ALL_PROXY"
    assert proxies().urls["ALL_PROXY"].get_secret_value() == "http://proxy.example:3128"


@pytest.mark.parametrize(
    ("entry", "url", "bypassed"),
    [
        ("*", "https://a.example", True),
        ("a.example", "https://a.example", True),
        ("A.Example", "https://a.example/", True),
        ("example", "https://a.example", True),
        (".a.example", "https://a.example", True),
        ("*.example", "https://a.example", True),
        ("a.example.", "https://a.example.", True),
        ("a.example", "https://xa.example", False),
        ("a.example", "https://b.example", False),
        ("a.example:443", "https://a.example", True),
        ("a.example:8443", "https://a.example:8443", True),
        ("a.example:8443", "https://a.example", False),
        ("https://a.example", "https://a.example", True),
        ("http://a.example", "https://a.example", False),
        ("b.example, a.example", "https://a.example", True),
        ("b.example a.example", "https://a.example", True),
        ("10.1.2.3", "http://10.1.2.3", True),
        ("10.1.2.3", "http://10.1.2.30", False),
        ("10.0.0.0/8", "http://10.1.2.3:99", True),
        ("10.0.0.1/8", "http://10.1.2.3", True),
        ("10.0.0.0/8", "http://11.1.2.3", False),
        ("10.0.0.0/8", "https://a.example", False),
        ("10.1.2.3:80", "http://10.1.2.3", True),
        ("fd00::1", "http://[fd00::1]:8080", True),
        ("[fd00::1]", "http://[fd00::1]", True),
        ("[fd00::1]:8080", "http://[fd00::1]:8080", True),
        ("[fd00::1]:8080", "http://[fd00::1]", False),
        ("fd00::/16", "http://[fd00::1]", True),
        ("", "https://a.example", False),
        (",:,.,*.,[]", "https://a.example", False),
    ],
)
def test_no_proxy_has_the_usual_forms(
    monkeypatch: pytest.MonkeyPatch, entry: str, url: str, *, bypassed: bool
) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example")
    monkeypatch.setenv("NO_PROXY", entry)
    assert (way(url) is None) == bypassed


@pytest.mark.parametrize(
    ("proxy", "reason"),
    [
        ("socks5h://me:pw@proxy.example:1080", "SOCKS needs the Python package `socksio`"),
        ("socks4://me:pw@proxy.example", "it is not the URL of an HTTP or SOCKS5 proxy"),
        ("ftp://me:pw@proxy.example", "it is not the URL of an HTTP or SOCKS5 proxy"),
        ("http://me:pw@[::", "it is not the URL of an HTTP or SOCKS5 proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, proxy: str, reason: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    failure = failure_of("https://a.example/")
    assert (
        failure.message
        == f"the proxy of ALL_PROXY cannot be used: {reason}; list hosts that need no proxy in"
        " NO_PROXY"
    )
    assert (failure.error_class, failure.retryable) == ("not_allowed", False)


def test_a_proxy_that_is_not_there_is_named_by_its_variable(
    dead_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", dead_url.replace("http://", "http://me:pw@"))
    failure = failure_of("http://a.example/")
    reason = "[Errno 111] Connection refused"
    assert failure.message == f"it cannot be reached through the proxy of HTTP_PROXY: {reason}"
    assert (failure.error_class, failure.retryable) == ("unavailable", True)


def test_a_proxy_that_is_wanted_is_asked(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    server.answers(b"by the proxy")
    assert (
        Web().post("http://a.example/x", b"{}", {}, seconds=5, service="it").text == "by the proxy"
    )
    assert [each.path for each in server.received] == ["http://a.example/x"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"NO_PROXY": "localhost,127.0.0.1,::1"}),
        ({"no_proxy": "a,localhost"}, {"no_proxy": "a,localhost,127.0.0.1,::1"}),
        ({"NO_PROXY": "*"}, {"NO_PROXY": "*,localhost,127.0.0.1,::1"}),
    ],
)
def test_the_aws_libraries_are_told_to_leave_loopback_alone(
    monkeypatch: pytest.MonkeyPatch, before: dict[str, str], after: dict[str, str]
) -> None:
    import os
    import urllib.request

    for name, value in before.items():
        monkeypatch.setenv(name, value)
    for name in after:
        monkeypatch.setenv(name, os.environ.get(name, ""))  # restored at the end
    keep_loopback_from_proxies()
    assert {name: os.environ[name] for name in after} == after
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example")
    assert urllib.request.proxy_bypass("127.0.0.1")
