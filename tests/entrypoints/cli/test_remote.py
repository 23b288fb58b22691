"""Which server a command asks, and what it sends there."""

from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ai_coordination_engine.client import ApiError
from ai_coordination_engine.entrypoints.cli import remote
from ai_coordination_engine.entrypoints.cli.remote import client_of
from ai_coordination_engine.entrypoints.cli.remote_options import Remote
from ai_coordination_engine.entrypoints.local.address import published
from ai_coordination_engine.entrypoints.local.processes import Processes

SENT: list[str | None] = []


class Refusing(BaseHTTPRequestHandler):
    """Notes the credentials of each request, and refuses it."""

    def do_POST(self) -> None:
        SENT.append(self.headers["Authorization"])
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/graphql"
        server.shutdown()
        thread.join()


def sent(asked: Remote) -> str | None:
    """The credentials that are sent to the server."""
    with pytest.raises(ApiError), client_of(asked) as client:
        client.execute("{ ping }")
    return SENT[-1]


def test_the_token_is_sent_to_the_address_that_was_named_alone(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACE_TOKEN", "secret")
    assert sent(Remote(url=url)) == "Bearer secret"
    monkeypatch.setattr(remote, "DEFAULT_URL", url)
    assert sent(Remote()) is None
    with closing(Processes(tmp_path)) as server, published(tmp_path, server.name, url):
        assert sent(Remote(data_dir=tmp_path)) is None
        monkeypatch.setenv("ACE_URL", url)
        assert sent(Remote(data_dir=tmp_path)) is None
    assert sent(Remote()) == "Bearer secret"
