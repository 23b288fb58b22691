"""`Outputs`: the texts that agents are writing, bounded in memory.

What agents of other processes write is heard through their FIFOs, as far as nothing is lost.
"""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterable
from threading import Lock

from ai_coordination_engine.adapters.change_fifos import ChangeFifos
from ai_coordination_engine.domain import topics
from ai_coordination_engine.live_ports import Changes, Written

_MOST_CHARACTERS = 10_000_000  # of all texts; those that were begun first are dropped
_MOST_TEXTS = 10_000  # likewise
_LONGEST = 1_000_000  # characters of one text; what follows is not kept
_PART = 512  # characters of a text in one line for other processes; with its key it fits a write


class _Text:
    """The text of one attempt."""

    def __init__(self, attempt: int) -> None:
        self.attempt, self.length, self.is_full = attempt, 0, False
        self.parts: list[str] = []


class ProcessOutputs:
    """The texts that this process knows; `changes` tells who watches, `others` other processes."""

    def __init__(self, changes: Changes, others: ChangeFifos | None = None) -> None:
        self._changes, self._others = changes, others
        if others is not None:
            others.hear_texts = self._hear
        self._texts: OrderedDict[str, _Text] = OrderedDict()
        self._length = 0
        self._changing = Lock()

    def writing(
        self, tenant: str, session_uuid: str, session_agent_uuid: str, attempt: int
    ) -> Callable[[str], None]:
        """Begin the text of an attempt; return the function that adds to it."""
        key = tenant, session_uuid, session_agent_uuid
        topic = topics.of_output(*key)
        text = self._begin(topic, attempt)

        def add(delta: str) -> None:
            begin = text.length
            if isinstance(delta, str) and delta and self._add(topic, text, delta):
                self._changes.announce([topic])
                if self._others is not None and self._others.is_watched:
                    self._others.tell_texts(_lines((*key, attempt), begin, delta))

        return add

    def read(
        self, tenant: str, session_uuid: str, session_agent_uuid: str, after: int, attempt: int
    ) -> Written | None:
        """Return what was written after so many parts of an attempt; of another attempt, all."""
        with self._changing:
            text = self._texts.get(topics.of_output(tenant, session_uuid, session_agent_uuid))
            if text is None:
                return None
            begin = after if attempt == text.attempt else 0
            return Written(text.attempt, len(text.parts), "".join(text.parts[begin:]))

    def _hear(self, lines: Iterable[str]) -> None:
        """Another process has told these. After a part that was lost, nothing is added."""
        for tenant, session_uuid, session_agent_uuid, attempt, begin, delta in map(
            json.loads, lines
        ):
            topic = topics.of_output(tenant, session_uuid, session_agent_uuid)
            text = self._texts.get(topic) if begin else self._begin(topic, attempt)
            if text is None or (text.attempt, text.length) != (attempt, begin):
                continue
            if self._add(topic, text, delta):
                self._changes.announce([topic])

    def _begin(self, topic: str, attempt: int) -> _Text:
        text = _Text(attempt)
        with self._changing:
            self._drop(topic)
            self._texts[topic] = text
            if len(self._texts) > _MOST_TEXTS:
                self._drop(next(iter(self._texts)))
        return text

    def _add(self, topic: str, text: _Text, delta: str) -> bool:
        """Add to a text; False for one that is not kept: another attempt writes, or it is long."""
        with self._changing:
            text.is_full = text.is_full or text.length + len(delta) > _LONGEST
            if text.is_full or self._texts.get(topic) is not text:
                return False
            text.parts.append(delta)
            text.length += len(delta)
            self._length += len(delta)
            while self._length > _MOST_CHARACTERS:
                self._drop(next(iter(self._texts)))
            return True

    def _drop(self, topic: str) -> None:
        dropped = self._texts.pop(topic, None)
        self._length -= dropped.length if dropped else 0


def _lines(of: Iterable[str | int], begin: int, delta: str) -> Iterable[str]:
    """What other processes are told of a delta that begins at this character of its text."""
    for at in range(0, len(delta), _PART):
        yield json.dumps([*of, begin + at, delta[at : at + _PART]])
