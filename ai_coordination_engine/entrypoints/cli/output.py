"""What `ace` writes to its streams: texts of others never control a terminal, and nothing loses a
finished result.

Texts come from agents, records, files and servers. Control characters (C0 but for tab and line
feed, DEL, C1) and the characters that reorder what is shown (Unicode Standard Annex #9, "Explicit
Directional Embeddings, Overrides and Isolates") are written as escapes.
"""

import json
import os
import re
import sys
from io import TextIOWrapper
from typing import IO

_TERMINAL_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)
_BREAKING = re.compile(r"[\t\n\r\u2028\u2029]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


def visible(text: str) -> str:
    r"""The text with `\x1b` and the like in place of what would control a terminal."""
    return _TERMINAL_CONTROLS.sub(lambda found: _escape(found[0]), text)


def on_one_line(text: str) -> str:
    """As `visible`, for a name within a line: it begins no line of its own either."""
    return _BREAKING.sub(lambda found: _escape(found[0]), visible(text))


def visible_json(text: str, encoding: str) -> str:
    """The same JSON without terminal controls and characters that the encoding lacks."""
    text = _TERMINAL_CONTROLS.sub(_json_escape, text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return _BEYOND_ASCII.sub(_json_escape, text)
    return text


def prepare() -> None:
    """Make standard output and error take every character: what their encoding lacks is written as
    an escape.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before the start
            # - until the end
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Write a text and the end of its line to standard output; nothing when its reader has gone."""
    try:
        sys.stdout.write(visible(text) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        mute(sys.stdout)


def write_json(text: str) -> None:
    """As `write`; what the encoding lacks is escaped as JSON does it."""
    write(visible_json(text, sys.stdout.encoding))


def write_error(text: str) -> None:
    """Write a text and the end of its line to standard error."""
    try:
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        mute(sys.stderr)


def mute(stream: IO[str]) -> None:
    """Let the rest of what is written to a stream vanish, also what it still holds when the process
    ends.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def close() -> str | None:
    """Write what is still held back; why that failed, unless the reader has gone."""
    problem = None
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            mute(stream)
            if not isinstance(error, BrokenPipeError):
                problem = f"the output cannot be written: {error.strerror}"
    return problem


class VisibleLog:
    """Standard error for a log of JSON lines, as `logging.StreamHandler` uses a stream."""

    def write(self, text: str) -> None:
        """Write a piece of JSON; what shows progress may stand before the stream, and names no
        encoding.
        """
        named = (getattr(stream, "encoding", None) for stream in (sys.stderr, sys.__stderr__))
        sys.stderr.write(visible_json(text, next(filter(None, named), "utf-8")))

    def flush(self) -> None:
        """Write what is held back."""
        sys.stderr.flush()


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _json_escape(found: re.Match[str]) -> str:
    return "\\u007f" if found[0] == "\x7f" else json.dumps(found[0])[1:-1]
