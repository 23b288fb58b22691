"""A token issuer on loopback: OpenID discovery, its keys, and tokens signed with them."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.deployment.loopback import serving


class Issuer:
    """Signs tokens; `url` is their issuer."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._key = RSAKey.generate_key(2048, {"kid": "key-1", "alg": "RS256", "use": "sig"})

    def token(self, audience: str, *, lifetime: int = 300, **claims: Any) -> str:
        now = int(time.time())
        content = {
            "iss": self.url,
            "aud": audience,
            "iat": now - 1,
            "exp": now + lifetime,
            **claims,
        }
        return jwt.encode({"alg": "RS256", "kid": "key-1"}, content, self._key)

    def document(self, path: str) -> dict[str, Any] | None:
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
            },
            "/keys": {"keys": [self._key.as_dict(private=False)]},
        }.get(path)


@contextmanager
def running() -> Iterator[Issuer]:
    """Serve an issuer on a free loopback port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document = issuer.document(self.path)
            self.send_response(404 if document is None else 200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, format: str, *args: Any) -> None:
            """Log nothing."""

    with serving(Handler) as url:
        issuer = Issuer(url)
        yield issuer
