"""Signature Version 4 of requests whose headers are a dictionary."""

from collections.abc import Callable
from typing import Any

from botocore.auth import SIGNED_HEADERS_BLACKLIST, SigV4Auth

from ai_coordination_engine.adapters.lean.connections import target_and_host
from ai_coordination_engine.adapters.lean.requests import Headers


class Signature(SigV4Auth):
    """botocore's signature, which collects the headers to sign in a dictionary too."""

    def headers_to_sign(self, request: Any) -> Any:
        """The headers to sign, in lower case."""
        if not isinstance(request.headers, Headers):
            return super().headers_to_sign(request)
        lower = ((name.lower(), value) for name, value in request.headers.items())
        signed = Headers(pair for pair in lower if pair[0] not in SIGNED_HEADERS_BLACKLIST)
        signed.setdefault("host", target_and_host(request.url)[1])
        return signed


def signer_of(create: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Create a signer as botocore does; in place of a `SigV4Auth`, return the one above."""
    made = create(*args, **kwargs)
    kind = type(made)
    if kind is not SigV4Auth:
        return made
    return Signature(made.credentials, made._service_name, made._region_name)
