"""What is on the disk when the power fails: from the writes and syncs that strace(1) has seen."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

CALLS = "pwrite64,write,fdatasync,fsync,ftruncate,unlink"
STRACE = ("strace", "-f", "-y", "-xx", "-s", "100000", "-e", f"trace={CALLS}")
_LINE = re.compile(r"(\d+)\s+(?:<\.\.\. (\w+) resumed>|(\w+)\()(.*)")
_BEGUN = " <unfinished ...>"


@dataclass
class File:
    """A file: what was synced, and the writes since, of which any part may be on the disk."""

    synced: bytearray = field(default_factory=bytearray)
    writes: list[tuple[int, bytes | None]] = field(default_factory=list)
    count: int = 0  # of the writes that were synced

    def sync(self, upto: int) -> None:
        """All writes but those that began after the sync are on the disk."""
        for each in self.writes[: max(upto - self.count, 0)]:
            _write(self.synced, *each)
        del self.writes[: max(upto - self.count, 0)]
        self.count = max(self.count, upto)

    def after_failure(self, kept: float, random: Random) -> bytes:
        """The content when the power has failed; `kept`: how likely a write was kept."""
        content = bytearray(self.synced)
        for each in self.writes:
            if random.random() < kept:
                _write(content, *each)
        return bytes(content)


def _write(content: bytearray, offset: int, data: bytes | None) -> None:
    """Write; None is the end of the file."""
    content.extend(bytes(max(offset - len(content), 0)))
    content[offset : None if data is None else offset + len(data)] = data or b""


class Disk:
    """Replays what strace has written about the files whose names begin with `name`."""

    def __init__(self, name: str) -> None:
        self.files: dict[str, File] = {}
        self._name = name
        self._begun: dict[str, str] = {}  # by thread
        self._syncing: dict[str, int] = {}

    def replay(self, trace: Path) -> Iterator[str]:
        """Yield each text that was written to another file, at the moment it was written."""
        for line in trace.read_text("latin-1").splitlines():
            if (found := _LINE.match(line)) is None:
                continue
            thread, resumed, call, rest = found.groups()
            if call is not None:
                self._begin(thread, call, rest)
                if rest.endswith(_BEGUN):
                    self._begun[thread] = rest.removesuffix(_BEGUN)
                    continue
            rest = self._begun.pop(thread, "") + rest
            yield from self._end(thread, call or resumed, rest)

    def _file(self, rest: str) -> File | None:
        name = _texts(rest)[0].rpartition("/")[2]
        return self.files.setdefault(name, File()) if name.startswith(self._name) else None

    def _begin(self, thread: str, call: str, rest: str) -> None:
        if "sync" in call and (file := self._file(rest)) is not None:
            self._syncing[thread] = file.count + len(file.writes)

    def _end(self, thread: str, call: str, rest: str) -> Iterator[str]:
        file = self._file(rest)
        if file is None:
            yield from _texts(rest)[1:] if call == "write" else ()
        elif call == "unlink":
            self.files.pop(_texts(rest)[0].rpartition("/")[2])
        elif "sync" in call:
            file.sync(self._syncing.pop(thread))
        elif call == "ftruncate":
            file.writes.append((_number(rest, r">, (\d+)"), None))
        else:
            data = _texts(rest)[1].encode("latin-1")
            file.writes.append((_number(rest, r", (\d+)\) +="), data))


def _number(rest: str, pattern: str) -> int:
    found = re.search(pattern, rest)
    assert found is not None, rest[-200:]
    return int(found[1])


def _texts(rest: str) -> list[str]:
    """The name of the file, and what was written."""
    found = re.findall(r'[<"]((?:\\x[0-9a-f]{2})*)[>"]', rest)
    return [bytes.fromhex(each.replace("\\x", "")).decode("latin-1") for each in found] or [""]
