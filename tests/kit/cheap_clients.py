"""What botocore and moto do for each session, client and mock is done once a process here.

A test has clients of its own, with events of its own; an application took 80 ms, most tests take 5.
"""

import inspect
import os
from collections.abc import Callable
from functools import cache
from typing import Any

import botocore.endpoint
import botocore.hooks
import botocore.session
import moto.core.models
from botocore.hooks import EventAliaser


def share() -> None:
    """Share it from here on."""
    # the models of the services
    botocore.session.create_loader = cache(botocore.session.create_loader)
    # what an event is called now
    EventAliaser._alias_event_name = _once_a_name(EventAliaser._alias_event_name)
    # whether a handler takes any argument: a flag of its code
    botocore.hooks.accepts_kwargs = _flag_of(botocore.hooks.accepts_kwargs)
    # that the environment names no proxies
    botocore.endpoint.get_environ_proxies = _if_any(botocore.endpoint.get_environ_proxies)
    # a pattern for each address of AWS, for the library `requests`, which nobody uses
    moto.core.models.RESPONSES_METHODS.clear()


def _once_a_name(alias: Callable[[Any, str], str]) -> Callable[[Any, str], str]:
    known: dict[str, str] = {}

    def aliased(emitter: Any, name: str) -> str:
        if name not in known:
            known[name] = alias(emitter, name)
        return known[name]

    return aliased


def _if_any(proxies: Callable[[str], dict[str, str]]) -> Callable[[str], dict[str, str]]:
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return lambda url: proxies(url) if any(each in os.environ for each in names) else {}


def _flag_of(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def accepted(handler: Any) -> bool:
        code = getattr(getattr(handler, "__func__", handler), "__code__", None)
        return accepts(handler) if code is None else bool(code.co_flags & inspect.CO_VARKEYWORDS)

    return accepted
