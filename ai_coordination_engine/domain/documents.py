"""The JSON that a model answers, out of what it puts around it. Pure.

Only where JSON is needed (conditions, maps): an output itself is stored as it came. All of it takes
a time that grows with the length of the text.
"""

import json
import re
from collections.abc import Iterator

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.json_text import NotJSON, bare

SHOWN = 80  # characters of an output that is not JSON
_ODD = 7  # what a letter or a dot of a number costs more: such numbers are read one by one
_WRITTEN = 4  # each value
_FENCED = 20  # what is between two fences, whatever it is
_TRIED = 20  # a brace or bracket that does not begin a document
_THOUGHTS = re.compile(r"\s*<think(?:ing)?>", re.IGNORECASE)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_LANGUAGE = re.compile(r"json\w*", re.IGNORECASE)
_BEGINS = re.compile(r"\{\s*[\"}]|\[\s*[\]\[{\"\-\dtfnNI]")
_TWO = "holds more than one JSON document"


class _Lineless(str):
    """A text whose lines nobody counts: the library counts them for the words of each error, from
    the beginning.
    """

    __slots__ = ()

    def count(self, *_: object) -> int:
        return 0

    def rfind(self, *_: object) -> int:
        return -1


def read(text: str, budget: Budget) -> object:
    """The JSON value of a model's output: the text itself, or the one document in it.

    First goes what a model thought: `<think>…</think>` (or `<thinking>`) at the beginning, several
    times or without an end, and all before a `</think>` that nobody opened. What is left may be
    JSON. Else it is the one fenced block (three backticks, `json` behind them or nothing) that is
    JSON. Else the one object or list in the text; those within another are its own, and what begins
    like one and breaks off is none. Numbers and texts are never taken out of prose. Raises `Spent`,
    and `NotJSON` whose words go on from "The output …".
    """
    budget.spend(price(text))
    try:
        return json_text.loads(text)
    except NotJSON:
        pass
    for answer in _answers(bare(text)):
        budget.spend(2 * price(answer))
        found = _fenced(answer, budget) or _in_prose(answer, budget)
        if len(found) > 1:
            raise NotJSON(_TWO)
        if found:
            return found[0]
    raise NotJSON("is not valid JSON")


def quoted(text: str) -> str:
    """How an output begins, as messages quote it."""
    return json_text.dumps(bare(text)[:SHOWN])


def price(text: str) -> int:
    """What it costs to read a JSON text."""
    odd = text.count(".") + text.count("e") + text.count("E")
    if "-0" in text:  # then every number is read by itself
        odd += text.count(",")
    return len(text) // 2 + _ODD * odd


def price_of_writing(text: str) -> int:
    """What it cost to write a JSON text."""
    return len(text) // 8 + _WRITTEN * (text.count(",") + text.count("[") + text.count("{"))


def _answers(text: str) -> Iterator[str]:
    """What follows a model's thoughts; the text as a whole, too, where it is not certain that they
    are thoughts.
    """
    place = 0
    while opened := _THOUGHTS.match(text, place):
        closed = _THOUGHT.search(text, opened.end())
        place = closed.end() if closed else opened.end()
        if closed is None:
            break
    if place == 0 and (stray := _THOUGHT.search(text)):
        yield text[stray.end() :]
    yield text[place:]


def _fenced(text: str, budget: Budget) -> list[object]:
    """The first two documents that are all of the text, or all of a fenced block."""
    found: list[object] = []
    blocks = text.split("```")
    for block in (text, *blocks[1::2]):
        budget.spend(_FENCED)
        body = bare(block)
        language = _LANGUAGE.match(body)
        try:
            found.append(json_text.loads(body[language.end() :] if language else body))
        except NotJSON:
            continue
        if len(found) == 2 or block is text:
            break
    return found


def _in_prose(text: str, budget: Budget) -> list[object]:
    """The first two objects or lists in the text. It goes on behind what was read, so that nothing
    is read twice.
    """
    found: list[object] = []
    constants: list[str] = []
    decoder = json_text.decoder(constants.append)
    place, text = 0, _Lineless(text)
    while len(found) < 2 and (begins := _BEGINS.search(text, place)):
        try:
            value, place = decoder.raw_decode(text, begins.start())
        except json.JSONDecodeError as error:
            budget.spend(_TRIED)
            unterminated = error.msg.startswith("Unterminated string")  # to the end of the text
            place = len(text) if unterminated else max(error.pos, begins.start() + 1)
            continue
        except RecursionError:
            raise NotJSON("is nested too deeply") from None
        if not constants:
            found.append(value)
        constants.clear()
    return found
