"""Parse and write JSON so that numbers keep their digits: `19.90`, `1e3`, `-0`, `1e400`. Pure.

Source: RFC 8259. `NaN` and `Infinity` are refused when reading and when writing. White space and
byte order marks around the text are ignored. If a key is given twice, the last value counts.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any

JSONObject = dict[str, Any]
"""A JSON object of a known form. Its values are checked where they are read."""
_MINUS_ZERO = re.compile(r"-0(?![.\deE])")
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")
_DIGITS = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)


class NotJSON(ValueError):
    """The text is not JSON, or JSON cannot represent the value."""


class TooLong(ValueError):
    """The JSON text of a value is longer than the limit."""


class Number(float):
    """A number whose original digits Python would not reproduce.

    `text` holds the digits. In calculations it is a float (`1e400` is infinity).
    """

    __slots__ = ("text",)
    text: str

    def __reduce__(self) -> tuple[object, ...]:
        return _written, (self.text,)

    def __repr__(self) -> str:
        return self.text

    __str__ = __repr__


def _written(text: str) -> Number:
    number = float.__new__(Number, text)
    number.text = text
    return number


def bare(text: str) -> str:
    """The text without white space and byte order marks at its ends."""
    return text.strip().strip("\ufeff").strip()


def loads(text: str) -> object:
    """Parse a JSON text. A number is an int, a float, or a `Number` if these would lose its digits.

    Raises `NotJSON`, also for a text that is nested too deeply.
    """
    text = bare(text)
    try:
        if not _MINUS_ZERO.search(text):
            return _FAST.decode(text)
    except NotJSON:
        raise
    except (json.JSONDecodeError, RecursionError) as error:
        raise NotJSON(_reason(error)) from None
    except ValueError:
        pass  # an integer of thousands of digits
    try:
        return _EXACT.decode(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise NotJSON(_reason(error)) from None


def number(text: str) -> int | float | None:
    """Parse a JSON number; None if the text is not one."""
    if not _DIGITS.fullmatch(text):
        return None
    return _integer(text) if text.lstrip("-").isdigit() else to_float(text)


def dumps(
    value: object, *, compact: bool = False, ascii_only: bool = False, limit: int | None = None
) -> str:
    """Write a value as JSON in one line, with `", "` and `": "` unless `compact`.

    Takes the values that `json.dumps` takes, nested to any depth. Lone surrogates are escaped, so
    that the text is valid UTF-8. Raises `NotJSON` for a value that JSON cannot represent, `TooLong`
    as soon as the text exceeds `limit` characters, and `TypeError` for an object of another type.
    """
    try:
        return "".join(_bounded(_pieces(value, compact, _ascii if ascii_only else _quoted), limit))
    except TooLong:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise (
            error if isinstance(error, NotJSON) else NotJSON("an integer has too many digits")
        ) from error


def encode(value: object) -> str:
    """Write a value as compact JSON for a reader whose numbers are doubles.

    Faster than `dumps` if no number has to keep its digits. Raises `NotJSON` like `dumps`, also for
    a number that is too large for a double and for a value that is nested too deeply.
    """
    try:
        if _keeps_digits(value):
            return dumps(value, compact=True)
        return _COMPACT.encode(value)
    except RecursionError as error:
        raise NotJSON("nested too deeply") from error
    except ValueError as error:
        raise error if isinstance(error, NotJSON) else NotJSON(str(error)) from error


def _keeps_digits(value: Any) -> bool:
    """Whether `value` contains a `Number`. Raises `NotJSON` for one that is not finite."""
    found, left = False, [value]
    while left:
        each = left.pop()
        kind = type(each)
        if kind is dict:
            left.extend(each.values())
        elif kind is list:
            left.extend(each)
        elif kind is Number:
            if not isfinite(each):
                raise NotJSON(f"{each} is too large for a number")
            found = True
    return found


def _refuse(name: str) -> object:
    raise NotJSON(f"{name} is not JSON")


def to_float(text: str) -> float:
    """Parse a number with a fraction or an exponent; pass it to `json` as `parse_float`."""
    value = float(text)
    return value if repr(value) == text else _written(text)


def _integer(text: str) -> int | float:
    try:
        return _written(text) if text == "-0" else int(text)
    except ValueError:  # too many digits
        return _written(text)


def _reason(error: Exception) -> str:
    return error.msg if isinstance(error, json.JSONDecodeError) else "nested too deeply"


def decoder(constant: Callable[[str], object] = _refuse) -> json.JSONDecoder:
    """A decoder that reads numbers like `loads`, for `raw_decode` on a text that only begins with
    JSON.

    `constant` is called with `NaN`, `Infinity` or `-Infinity`; by default it raises `NotJSON`.
    """
    return json.JSONDecoder(parse_float=to_float, parse_int=_integer, parse_constant=constant)


_COMPACT = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_FAST = json.JSONDecoder(parse_float=to_float, parse_constant=_refuse)
_EXACT = decoder()


# Writing


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


_utf8 = json.JSONEncoder(ensure_ascii=False).encode
_ascii = json.JSONEncoder().encode


def _quoted(text: str) -> str:
    quoted = _utf8(text)
    return quoted if quoted.isascii() else _HALF_OF_A_PAIR.sub(_escaped, quoted)


def _bounded(pieces: Iterator[str], limit: int | None) -> Iterator[str]:
    if limit is None:
        yield from pieces
        return
    for piece in pieces:
        limit -= len(piece)
        if limit < 0:
            raise TooLong("its text is too long")
        yield piece


def _pieces(value: object, compact: bool, quoted: Callable[[str], str]) -> Iterator[str]:
    """The parts of the JSON text. Not recursive: a value may be nested deeper than calls may."""
    comma, colon = (",", ":") if compact else (", ", ": ")
    unfinished: list[tuple[Iterator[tuple[str, object]], str, int]] = []
    within: set[int] = set()  # the ids of the parts that are unfinished
    entries: Iterator[tuple[str, object]] = iter([("", value)])
    closing, own = "", 0
    while True:
        for before, each in entries:
            leaf = _LEAVES.get(type(each))
            if leaf is not None:
                yield before + leaf(each)
            elif isinstance(each, dict | list | tuple):
                if id(each) in within:
                    raise NotJSON("a value is within itself")
                unfinished.append((entries, closing, own))
                own = id(each)
                within.add(own)
                if isinstance(each, dict):
                    yield before + "{"
                    entries, closing = _members(each, comma, colon, quoted), "}"
                else:
                    yield before + "["
                    entries, closing = _elements(each, comma), "]"
                break
            else:
                yield before + (quoted(each) if isinstance(each, str) else _scalar(each))
        else:
            yield closing
            if not unfinished:
                return
            within.discard(own)
            entries, closing, own = unfinished.pop()


def _members(
    value: Mapping[object, object], comma: str, colon: str, quoted: Callable[[str], str]
) -> Iterator[tuple[str, object]]:
    before = ""
    for name, each in value.items():
        yield f"{before}{quoted(name if isinstance(name, str) else _scalar(name))}{colon}", each
        before = comma


def _elements(value: Sequence[object], comma: str) -> Iterator[tuple[str, object]]:
    before = ""
    for each in value:
        yield before, each
        before = comma


_LEAVES: dict[type, Callable[[Any], str]] = {
    int: int.__repr__,
    Number: Number.__repr__,
    bool: lambda value: "true" if value else "false",
    type(None): lambda value: "null",
}


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return int.__repr__(value)
    if isinstance(value, Number):
        return value.text
    if not isinstance(value, float):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    if not isfinite(value):
        raise NotJSON(f"{value} is not a number that JSON can hold")
    return float.__repr__(value)
