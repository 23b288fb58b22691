r"""Write to stdout and stderr so that texts cannot control the terminal and no result is lost.

Texts come from agents, records, files and servers. Control characters (C0 except tab and line feed,
DEL, C1) and the characters that reorder displayed text (Unicode Standard Annex #9, "Explicit
Directional Embeddings, Overrides and Isolates") are written as escapes such as `\x1b`.
"""

import json
import os
import re
import shutil
import sys
from io import TextIOWrapper
from typing import IO

_TERMINAL_CONTROLS = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)"
)
_BREAKING = re.compile(r"[\t\n\r\u2028\u2029]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")


def visible(text: str) -> str:
    r"""Replace each character that would control a terminal by an escape such as `\x1b`."""
    return _TERMINAL_CONTROLS.sub(lambda found: _escape(found[0]), text)


def on_one_line(text: str) -> str:
    """As `visible`, and escape line breaks and tabs too, for a name within a line."""
    return _BREAKING.sub(lambda found: _escape(found[0]), visible(text))


def visible_json(text: str, encoding: str) -> str:
    """Escape, in JSON, terminal controls and characters that the encoding does not have."""
    text = _TERMINAL_CONTROLS.sub(_json_escape, text)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return _BEYOND_ASCII.sub(_json_escape, text)
    return text


def prepare() -> None:
    """Let stdout and stderr accept every character; the encoding's missing ones become escapes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before the start
            # Not closed: it is used until the process ends.
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write(text: str) -> None:
    """Write a line to stdout; does nothing when the reader has closed the pipe."""
    try:
        sys.stdout.write(visible(text) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        mute(sys.stdout)


def width_of_stdout() -> int | None:
    """How many characters fit on a line of stdout; None where it is no terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def write_json(text: str) -> None:
    """As `write`; characters that the encoding does not have are escaped as in JSON."""
    write(visible_json(text, sys.stdout.encoding))


def write_error(text: str) -> None:
    """Write a line to stderr."""
    try:
        sys.stderr.write(visible(text) + "\n")
        sys.stderr.flush()
    except BrokenPipeError:
        mute(sys.stderr)


def mute(stream: IO[str]) -> None:
    """Discard everything that is written to a stream from now on, and its buffer."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def close() -> str | None:
    """Flush both streams; return the problem, if any, unless the reader has closed the pipe."""
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
    """A stream for `logging.StreamHandler` that writes JSON lines to stderr."""

    def write(self, text: str) -> None:
        """Write a part of a JSON line.

        The live display may replace the stream by one without an encoding.
        """
        named = (getattr(stream, "encoding", None) for stream in (sys.stderr, sys.__stderr__))
        sys.stderr.write(visible_json(text, next(filter(None, named), "utf-8")))

    def flush(self) -> None:
        """Flush stderr."""
        sys.stderr.flush()


class VisibleLines(VisibleLog):
    """As `VisibleLog`, for lines that are not JSON."""

    def write(self, text: str) -> None:
        """Write a part of a line."""
        sys.stderr.write(visible(text))


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _json_escape(found: re.Match[str]) -> str:
    return "\\u007f" if found[0] == "\x7f" else json.dumps(found[0])[1:-1]
