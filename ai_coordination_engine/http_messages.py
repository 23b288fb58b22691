"""Requests and responses of HTTP without a server; the entrypoints convert them."""

from collections.abc import AsyncIterator, Mapping, Sequence

from ai_coordination_engine.data_classes import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are in lower case; `query` holds the URL's decoded
    parameters.
    """

    method: str
    headers: Mapping[str, str]
    query: Sequence[tuple[str, str]] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class EventStream:
    """A response of server-sent events; `events` yields them as texts. Only on one machine."""

    headers: Mapping[str, str]
    events: AsyncIterator[str]
