"""Send notices of A2A tasks over HTTP to the receivers of `ACE_A2A_PUSH`."""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING

from ai_coordination_engine.domain import a2a
from ai_coordination_engine.ports import Secrets
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.runtime_settings import A2AReceiver

if TYPE_CHECKING:
    import httpx

    from ai_coordination_engine.adapters.runtimes.web import Web

POST_SECONDS = 5.0

# Cold start: the HTTP client is imported when the first URL is looked at.
# ruff: noqa: PLC0415


class HttpNotices:
    """Implements `live_ports.Notices`. Thread-safe.

    `receivers` maps prefixes of URLs to their headers; the longest one counts. Redirects are not
    followed. `look` has somebody look at a receiver.
    """

    def __init__(
        self,
        receivers: Mapping[str, A2AReceiver],
        secrets: Secrets,
        look: Callable[[str, str], None],
    ) -> None:
        self._receivers = receivers
        self._secrets = secrets
        self.look = look

    def problem(self, url: str) -> str | None:
        """Return why nothing is sent to a URL; None if it is allowed."""
        try:
            self._receiver(url)
        except AgentFailure as failure:
            return failure.message
        return None

    def post(self, url: str, body: bytes) -> None:
        """Send a notice; raises `AgentFailure`, whose message has no header, path or query."""
        from ai_coordination_engine.adapters.runtimes.web import redacting

        parsed, receiver = self._receiver(url)
        headers = dict(self._headers(receiver))
        place = str(parsed.copy_with(query=None, fragment=None))
        with redacting([*headers.values(), str(parsed), place]):
            own = {"Content-Type": a2a.MEDIA_TYPE, a2a.VERSION_HEADER: a2a.VERSION}
            service = f"the receiver at {parsed.host}"
            sent = {**own, **headers}
            try:
                self._web.post(str(parsed), body, sent, seconds=POST_SECONDS, service=service)
            except AgentFailure as failure:
                if failure.error_class != "invalid_output":  # it was taken; nobody reads the answer
                    raise

    @cached_property
    def _web(self) -> "Web":
        from ai_coordination_engine.adapters.runtimes.web import Web

        return Web()

    def _receiver(self, text: str) -> "tuple[httpx.URL, A2AReceiver]":
        """The URL and its receiver; raises `AgentFailure` if it is not valid, or not allowed."""
        from ai_coordination_engine.adapters.runtimes.allowed_urls import is_under, parsed_url
        from ai_coordination_engine.adapters.runtimes.proxies import is_loopback

        url = parsed_url(text)
        if url is None:
            message = "must be an absolute http(s) URL without credentials or `..`"
            raise AgentFailure(message, error_class="invalid_request")
        if url.scheme != "https" and not is_loopback(url.host):
            raise AgentFailure("must begin with https://", error_class="not_allowed")
        for prefix in sorted(self._receivers, key=len, reverse=True):
            allowed = parsed_url(prefix)
            if allowed is not None and is_under(url, allowed):
                return url, self._receivers[prefix]
        raise AgentFailure(
            "is not among the receivers of ACE_A2A_PUSH; the operator of this server adds them",
            error_class="not_allowed",
        )

    def _headers(self, receiver: A2AReceiver) -> Iterator[tuple[str, str]]:
        from ai_coordination_engine.adapters.runtimes.keys import read_key

        for name, value in receiver.headers.items():
            yield name, value.get_secret_value()
        for name, secret in receiver.headers_secret.items():
            read = partial(self._secrets.value, secret)
            yield name, read_key(read, "a header of a receiver").strip()
