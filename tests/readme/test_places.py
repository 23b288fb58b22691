"""The places in docs/contributing.md exist, and docs/design.md explains every promise in
the code.
"""

import re

from tests.readme.documents import ROOT

_PLACE = re.compile(r"`([\w./]+/[\w.]*)`(?: \(((?:`\w+`(?:, )?)+)\))?")
_PROMISE = re.compile(r"\bP\d+\b")


def test_what_is_said_to_be_in_a_file_is_there() -> None:
    text = (ROOT / "docs/contributing.md").read_text(encoding="utf-8")
    table = text.partition("## Where things are")[2].partition("\n\n`tests/`")[0]
    places = _PLACE.findall(table)
    assert len(places) > 15
    assert [path for path, _ in places if not (ROOT / path).exists()] == []
    named = [(path, name) for path, names in places for name in re.findall(r"\w+", names)]
    assert len(named) > 8
    assert [each for each in named if not is_defined(*each)] == []


def is_defined(path: str, name: str) -> bool:
    text = (ROOT / path).read_text(encoding="utf-8")
    return re.search(rf"^ *(?:def {name}\(|{name} = )", text, re.MULTILINE) is not None


def test_every_promise_that_the_code_names_is_explained() -> None:
    named = {
        promise
        for room in ("ai_coordination_engine", "tests/promises", "tests/kit")
        for path in (ROOT / room).rglob("*.py")
        for promise in _PROMISE.findall(path.read_text(encoding="utf-8"))
    }
    design = (ROOT / "docs/design.md").read_text(encoding="utf-8")
    assert {"P1", "P6", "P8"} <= named <= set(re.findall(r"^- \*\*(P\d+)\. ", design, re.MULTILINE))
