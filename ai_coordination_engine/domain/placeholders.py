"""Fill the placeholders `{name}` and `{name.path}` in a text. Pure.

A name is looked up in the layers of a `Scope`, then among the predecessors. Values of layers are
filled in at once. Outputs of predecessors are filled in when the agent runs; until then the text is
stored as a list of parts. Text that was filled in is never searched for placeholders.

- A name is any text without braces that a layer or a predecessor has. Any script and any Unicode
  normal form will do, but it needs a letter: `{3}` is plain text.
- After the first dot that follows a name comes a path into the value: a JMESPath, or plain names.
- A placeholder without a value stays in the text and is reported as missing. This holds for texts
  that look like a name (letters, digits, `_`, `-`, dots), and for names of agents that are not
  predecessors.
- `{{` is a literal brace, and so is the matching `}}`. All other braces are plain text, so JSON and
  code stay intact.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from unicodedata import normalize

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.domain import json_text
from ai_coordination_engine.domain.budget import Budget, Spent
from ai_coordination_engine.domain.conditions import check, select, value_for
from ai_coordination_engine.domain.scope import Scope
from ai_coordination_engine.domain.text_parts import OutputPart, Part, parts_of
from ai_coordination_engine.errors import BadUserInput, TooCostly

MAX_FILLED = 8_000_000  # characters of all values that fill the placeholders of one text
MAX_PATHS = 1_000  # placeholders with a path in one text
_MAX_NAME = 1_000
_A_BRACE, _A_NAME = 7, 30  # prices in units of a `Budget`: a brace; a brace followed by a name
_MAX_DOTS = _MAX_DEPTH = 8
_BRACE = re.compile(r"[{}]")
_PLAIN = re.compile(rf"\{{([^{{}}\n]{{1,{_MAX_NAME}}})\}}")
# letters of any script, digits, `_` and `-`: no other ASCII punctuation, no white space
_WORD = r"[^\s!-,./:-@\[-^`{-~\x00-\x1f\x7f]+"
_LIKE_A_NAME = re.compile(rf"(?!-){_WORD}(?:\.{_WORD}|\[\d+\])*")
_STEPS = re.compile(rf"\[\d+\]|({_WORD})")
_QUOTES = "'\"`"


@dataclass
class Filled:
    """A text in which all placeholders are filled, except the outputs of predecessors.

    `missing`: the placeholders without a value. `clashes`: the names that both a layer and a
    predecessor have. `layers`: the indexes of the layers whose values were used.
    """

    parts: list[Part]
    missing: list[str]
    clashes: list[str]
    layers: set[int]

    def stored(self) -> object:
        """The stored form: a text, or a list of parts if outputs are still needed."""
        if not any(isinstance(each, OutputPart) for each in self.parts):
            return "".join(str(each) for each in self.parts)
        return [each if isinstance(each, str) else each.stored() for each in self.parts]


def query_keys(task_query: str) -> Mapping[str, object]:
    """The keys of a task query that is a JSON object; empty for any other text."""
    try:
        value = json_text.loads(task_query)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def fill(
    text: str, scope: Scope, *, limit: int = MAX_FILLED, budget: Budget | None = None
) -> Filled:
    """Fill the placeholders of a text.

    A string is inserted unchanged, any other value as JSON that keeps the digits of its numbers.
    Raises `BadUserInput` if the values have more than `limit` characters in total, and `TooCostly`
    when `budget` is used up; without one, the text has a budget of its own.
    """
    return _Filling(text, scope, limit, budget or Budget()).run()


def render(
    stored: object,
    outputs: Mapping[str, Sequence[str]],
    *,
    limit: int = MAX_FILLED,
    budget: Budget | None = None,
) -> tuple[str, list[str]]:
    """Fill the outputs of predecessors, by agent uuid, into a stored text.

    Returns the text and the placeholders without a value; these are removed from the text. Several
    outputs of one agent are separated by an empty line. Raises like `fill`.
    """
    texts: list[str] = []
    missing: list[str] = []
    room, parsed = _Room(limit), _ParsedOutputs(budget or Budget())
    for part in parts_of(stored):
        if isinstance(part, str):
            texts.append(part)
            continue
        found = list(_found(part.path, outputs.get(part.agent_uuid, ()), room, parsed))
        if not found:
            missing.append(part.written)
        texts.append("\n\n".join(found))
    return "".join(texts), missing


def _found(
    path: str | None, outputs: Sequence[str], room: "_Room", parsed: "_ParsedOutputs"
) -> Iterator[str]:
    for output in outputs:
        if path is None:
            yield room.take(output)
        elif (value := parsed.value(path, output)) is not None:
            yield room.take(value)


class _ParsedOutputs:
    """Outputs as JSON; each is parsed once, however many paths read it."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._known: dict[str, tuple[object, ...]] = {}  # an empty tuple: not JSON

    def value(self, path: str, output: str) -> object:
        """What a path finds in an output; None if it finds nothing."""
        if output not in self._known:
            try:
                self._known[output] = (value_for(path, output, self._budget),)
            except json_text.NotJSON:
                self._known[output] = ()
        return next((_within(path, each, self._budget) for each in self._known[output]), None)


def _within(path: str, value: object, budget: Budget) -> object:
    """What a path finds in a value; None if it finds nothing or does not apply to the value."""
    try:
        return select(path, value, budget)
    except TooCostly:
        raise
    except BadUserInput:
        return None


class _Room:
    """The number of characters that may still be filled in."""

    def __init__(self, limit: int) -> None:
        self._limit = self._left = limit

    def take(self, value: object) -> str:
        """The value as a text; raises `BadUserInput` if it has more characters than are left."""
        try:
            text = value if isinstance(value, str) else json_text.dumps(value, limit=self._left)
        except json_text.TooLong as error:
            raise self._too_long() from error
        self._left -= len(text)
        if self._left < 0:
            raise self._too_long()
        return text

    def _too_long(self) -> BadUserInput:
        return BadUserInput(
            f"A text has room for {self._limit} characters where its placeholders are filled; the"
            " values have more."
        )


class _Filling:
    """The state of filling one text, in one pass."""

    def __init__(self, text: str, scope: Scope, limit: int, budget: Budget) -> None:
        self._text = text
        self._scope = scope
        self._room = _Room(limit)
        self._budget = budget
        self._paths = 0
        self._names: dict[str, bool] = {}
        self._pieces: list[Part] = []
        # for each open `{{` its index in the pieces and in the text; None for an open `{`
        self._open: list[tuple[int, int] | None] = []
        self._filled = Filled([], [], [], set())

    def run(self) -> Filled:
        text, at = self._text, 0
        try:
            while brace := _BRACE.search(text, at):
                start = brace.start()
                self._budget.spend(_A_BRACE)
                self._put(text[at:start])
                at = self._opened(start) if brace[0] == "{" else self._closed(start)
        except Spent as error:
            raise TooCostly(
                "The texts have more placeholders and braces than can be filled at once."
            ) from error
        self._put(text[at:])
        for is_text, group in groupby(self._pieces, lambda piece: isinstance(piece, str)):
            parts = list(group)
            self._filled.parts.extend(["".join(map(str, parts))] if is_text else parts)
        return self._filled

    def _put(self, piece: Part) -> None:
        if piece:
            self._pieces.append(piece)

    def _opened(self, start: int) -> int:
        if self._text.startswith("{{", start):
            self._open.append((len(self._pieces), start))
            self._put("{")
            return start + 2
        if (end := self._placeholder(start)) is not None:
            return end
        self._open.append(None)
        self._put("{")
        return start + 1

    def _closed(self, start: int) -> int:
        """Handle a closing brace; return the position after it. A `{{` that is closed by a single
        `}` is plain text with both of its braces; but `{{name}` stays `{name}`.
        """
        doubled = self._open[-1] if self._open else None
        if doubled is not None and self._text.startswith("}}", start):
            self._open.pop()
            self._put("}")
            return start + 2
        if doubled is not None and not self._is_name(self._text[doubled[1] + 2 : start]):
            self._pieces[doubled[0]] = "{{"
            self._open[-1] = None
        elif self._open:
            self._open.pop()
        self._put("}")
        return start + 1

    # A placeholder

    def _placeholder(self, start: int) -> int | None:
        """Fill the placeholder that begins at `start`; return its end, or None if there is none."""
        plain = _PLAIN.match(self._text, start)
        self._budget.spend(_A_NAME if plain else 0)
        if plain and self._known(plain[1]):
            self._fill(plain[1], None, plain[0])
            return plain.end()
        if (end := self._with_path(start)) is not None:
            return end
        if plain and self._is_name(plain[1]):
            self._leave(plain[0])
            return plain.end()
        return None

    def _with_path(self, start: int) -> int | None:
        until = _BRACE.search(self._text, start + 1, start + 1 + _MAX_NAME)
        region = self._text[start + 1 : until.start() if until else start + 1 + _MAX_NAME]
        dot = -1
        for _ in range(_MAX_DOTS):
            dot = region.find(".", dot + 1)
            if dot < 0:
                return None
            if self._known(region[:dot]):
                path = start + dot + 2
                end = _end_of_path(self._text, path)
                if end is None:
                    return None
                self._paths += 1
                if self._paths > MAX_PATHS:
                    raise BadUserInput(
                        f"A text takes at most {MAX_PATHS} placeholders with a path."
                    )
                self._fill(region[:dot], self._text[path:end], self._text[start : end + 1])
                return end + 1
        return None

    def _is_name(self, text: str) -> bool:
        """Whether a text between braces counts as a name, with or without a value."""
        if len(text) > _MAX_NAME:
            return False
        name = normalize("NFC", text)
        if self._known(text) or not self._scope.others.isdisjoint((name, name.partition(".")[0])):
            return True
        return _has_letter(text) and _LIKE_A_NAME.fullmatch(text) is not None

    def _known(self, name: str) -> bool:
        if name not in self._names:
            spellings = [name] if name.isascii() else [name, normalize("NFC", name)]
            self._names[name] = _has_letter(name) and any(map(self._scope.has, spellings))
        return self._names[name]

    def _fill(self, name: str, path: str | None, placeholder: str) -> None:
        scope = self._scope
        name = name if scope.has(name) else normalize("NFC", name)
        holders = [index for index, layer in enumerate(scope.layers) if name in layer]
        if path is not None and not self._is_path(path := _quoted(path)):
            self._leave(placeholder)
        elif not holders:
            self._put(OutputPart(scope.agents[name], path, placeholder))
        else:
            if name in scope.agents:
                self._filled.clashes.append(name)
            self._fill_from(holders, name, path, placeholder)

    def _fill_from(
        self, holders: Sequence[int], name: str, path: str | None, placeholder: str
    ) -> None:
        """Use the first layer with the name; with a path, the first in which it finds a value."""
        for index in holders:
            value = self._scope.layers[index][name]
            if path is not None and (value := _within(path, value, self._budget)) is None:
                continue
            self._filled.layers.add(index)
            self._put(self._room.take(value))
            return
        self._leave(placeholder)

    def _is_path(self, path: str) -> bool:
        try:
            check(path, self._budget)
        except TooCostly:
            raise
        except BadUserInput:
            return False
        return True

    def _leave(self, placeholder: str) -> None:
        self._filled.missing.append(placeholder)
        self._put(placeholder)


def _has_letter(text: str) -> bool:
    return any(each.isalpha() or each == "_" for each in text)


def _quoted(path: str) -> str:
    """The path with quotes around names that need them in JMESPath (`first-name`, `größe`).

    A path that is not made of plain names is returned unchanged.
    """
    if (path.isascii() and "-" not in path) or not _LIKE_A_NAME.fullmatch(path):
        return path
    return _STEPS.sub(lambda step: f'"{step[1]}"' if step[1] else step[0], path)


def _end_of_path(text: str, start: int) -> int | None:
    """The position of the brace that closes a placeholder whose path begins at `start`, or None."""
    quote, depth = "", 0
    position = start
    while position < min(len(text), start + _MAX_NAME):
        each = text[position]
        if quote:
            position += each == "\\"
            quote = "" if each == quote else quote
        elif each in _QUOTES:
            quote = each
        elif each == "{":
            depth += 1
            if depth > _MAX_DEPTH:
                return None
        elif each == "}":
            if not depth:
                return position
            depth -= 1
        position += 1
    return None
