"""What `HttpNotices` sends, and what it says of a receiver that does not take it."""

import httpx
import pytest
from pydantic import SecretStr

from ai_coordination_engine.adapters.notices import HttpNotices
from ai_coordination_engine.adapters.runtimes.web import Web
from ai_coordination_engine.runtime_ports import AgentFailure
from ai_coordination_engine.runtime_settings import A2AReceiver
from tests.kit.fakes import FakeSecrets

PREFIX = "https://ok.example/hook"
URL = f"{PREFIX}/T0/s3cret?key=0ther"


def answering(answer: httpx.Response) -> HttpNotices:
    """Notices to one receiver that gives this answer."""
    receiver = A2AReceiver(headers={"Authorization": SecretStr("Key k-1")})
    notices = HttpNotices({PREFIX: receiver}, FakeSecrets(), lambda *_: None)
    notices._web = Web(httpx.MockTransport(lambda _: answer))
    return notices


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("gone", "the receiver at ok.example answered 404 for ***: gone"),
        (f"no {URL}", "the receiver at ok.example answered 404 for ***: no ***"),
        ("Key k-1", "the receiver at ok.example answered 404 for ***: ***"),
    ],
)
def test_a_failure_tells_no_path_and_no_query_which_may_be_secret(said: str, message: str) -> None:
    with pytest.raises(AgentFailure) as failed:
        answering(httpx.Response(404, text=said)).post(URL, b"{}")
    assert failed.value.message == message


def test_what_was_taken_is_not_sent_again_for_an_answer_that_cannot_be_read() -> None:
    answering(httpx.Response(200, headers={"Content-Encoding": "br"}, content=b"x")).post(URL, b"")
