"""The suite tells beside which transitions nobody died."""

import pytest

from ai_coordination_engine.engine.app import App
from tests.kit import written
from tests.kit.shapes import SHAPES, deaths
from tests.kit.stage import stage_of


def test_what_was_written_beside_deaths_is_recorded_with_its_home(app: App) -> None:
    written.written.clear()
    deaths(stage_of(app), SHAPES["chain"], every=20)
    found = set(written.written)
    assert {
        "each dynamodb: agent claim",
        "each dynamodb: agent complete",
        "each dynamodb: agent finish_last_edge_and_claim",
        "each dynamodb: session complete_by_only_sink",
    } <= found
    assert "each dynamodb: agent skip" not in found


def test_what_is_missing_or_needlessly_excepted_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "CI", True)
    others = written.ALL - {*written.EXCEPT} - written.RANDOM
    whole = {f"each {home}: {name}" for home in written.HOMES for name in others}
    whole |= {f"random dynamodb: {name}" for name in written.RANDOM}
    whole |= {f"random sqlite: {name}" for name in written.RANDOM - written.ONE_COMMIT}
    assert written.wrong(whole) == []
    assert {*written.EXCEPT, *written.RANDOM} < written.ALL
    assert written.wrong(whole - {"each sqlite: agent skip", "random dynamodb: agent renew"}) == [
        "dynamodb: nobody died beside `agent renew`",
        "sqlite: nobody died beside `agent skip`",
    ]
    assert written.wrong(whole | {"each dynamodb: session note"}) == [
        "dynamodb: at each call beside `session note`, too"
    ]
    seldom, always = "random dynamodb: agent renew", "each dynamodb: agent renew"
    assert written.wrong((whole - {seldom}) | {always}) == []
