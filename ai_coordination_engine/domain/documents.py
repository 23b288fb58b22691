"""Find the JSON document in a model's output. Pure.

Conditions, maps and placeholders with a path need JSON; the output itself is stored unchanged. The
time is linear in the length of the text.
"""

import json
import re
from collections.abc import Iterator

from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budget import Budget
from ai_coordination_engine.domain.json_text import NotJSON, bare

SHOWN = 80  # characters of an output that an error message quotes
# prices in units of a `Budget`
_ODD = 7  # each number with a dot or an exponent: the parser reads it in Python, not in C
_WRITTEN = 4  # each value that was written
_FENCED = 20  # each fenced block
_TRIED = 20  # each brace or bracket that does not begin a document
_THOUGHTS = re.compile(r"\s*<think(?:ing)?>", re.IGNORECASE)
_THOUGHT = re.compile(r"</think(?:ing)?>", re.IGNORECASE)
_LANGUAGE = re.compile(r"json\w*", re.IGNORECASE)
_BEGINS = re.compile(r"\{\s*[\"}]|\[\s*[\]\[{\"\-\dtfnNI]")
_TWO = "holds more than one JSON document"


class _Lineless(str):
    """A text that finds no line breaks in itself.

    `json` counts the lines before each error, from the start of the text. With many errors that
    takes quadratic time.
    """

    __slots__ = ()

    def count(self, *_: object) -> int:
        return 0

    def rfind(self, *_: object) -> int:
        return -1


def read(text: str, budget: Budget) -> object:
    """The JSON value of a model's output: the whole text, or the single document in it.

    Steps, in this order:

    1. If the whole text is JSON, that is the value.
    2. The model's thoughts are removed: `<think>…</think>` (or `<thinking>`) blocks at the start,
       also one without an end, and all text before a `</think>` that has no start.
    3. If the rest is JSON, or exactly one fenced block in it is (three backticks, followed by
       `json` or nothing), that is the value.
    4. Else the value is the only object or list in the text. Nested ones do not count, nor does one
       that breaks off. Numbers and strings are never taken from prose.

    Raises `NotJSON`, whose message completes "The output …", and `Spent` when the budget is used
    up.
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
    """The first `SHOWN` characters of an output, as error messages quote it."""
    return json_text.dumps(bare(text)[:SHOWN])


def price(text: str) -> int:
    """The price of parsing a JSON text, in units of a `Budget`."""
    odd = text.count(".") + text.count("e") + text.count("E")
    if "-0" in text:  # then the parser reads every number in Python
        odd += text.count(",")
    return len(text) // 2 + _ODD * odd


def price_of_writing(text: str) -> int:
    """The price of serializing a value to this JSON text, in units of a `Budget`."""
    return len(text) // 8 + _WRITTEN * (text.count(",") + text.count("[") + text.count("{"))


def _answers(text: str) -> Iterator[str]:
    """The text without the model's thoughts.

    If only a closing tag is there, the whole text comes second: the tag may be part of the answer.
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
    """The JSON documents that fill the whole text or a whole fenced block; at most two."""
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
    """The objects and lists in the text; at most two. No part of the text is parsed twice."""
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
