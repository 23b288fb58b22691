"""The JSON texts of items, and what the latest of them say.

An item is read some times in a step, and is mostly as this process wrote it.
"""

import json
from collections.abc import Mapping
from typing import Any

from ai_coordination_engine.store.keys import Key

_KEPT = 128  # items, at least; twice as many at most
_LONGEST = 4096  # characters of the text of an item that is kept
_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode  # items are trees


class Texts:
    """Converts items to JSON texts and back; the latest ones are not parsed again. Thread-safe.

    An item that was converted must not change any more: it is given to whoever reads its text,
    whatever key that stands under.
    """

    def __init__(self) -> None:
        self._latest: dict[str, Mapping[str, Any]] = {}  # by text
        self._earlier: dict[str, Mapping[str, Any]] = {}

    def text(self, item: Mapping[str, Any]) -> str:
        """The JSON of an item, in ASCII."""
        text = _ENCODE(item)
        self._keep(text, item)
        return text

    def item(self, text: str) -> Mapping[str, Any]:
        """The item of a text."""
        item = self._latest.get(text) or self._earlier.get(text)
        if item is None:
            item = json.loads(text)
            self._keep(text, item)
        return item

    def _keep(self, text: str, item: Mapping[str, Any]) -> None:
        if len(text) > _LONGEST:
            return
        if len(self._latest) >= _KEPT:  # threads that do this at the same time lose a few items
            self._earlier, self._latest = self._latest, {}
        self._latest[text] = item


class Known:
    """What this process wrote last under each of the latest keys. Thread-safe.

    It may be out of date: another process has written since, or the transaction has failed.
    """

    def __init__(self) -> None:
        self._latest: dict[Key, str | None] = {}
        self._earlier: dict[Key, str | None] = {}

    def text(self, key: Key) -> str | None:
        """The text of an item; None if it is not known."""
        latest = self._latest  # another thread may begin a new one
        return latest[key] if key in latest else self._earlier.get(key)

    def keep(self, key: Key, text: str) -> None:
        """Remember what is written; not under a key that others write, too."""
        is_others = self._latest.get(key, "") is None
        if not is_others and len(text) <= _LONGEST:
            self._keep(key, text)
        else:
            self._keep(key, None)

    def is_of_others(self, key: Key) -> None:
        """Another process has written the item: do not rely on what this one writes."""
        self._keep(key, None)

    def _keep(self, key: Key, text: str | None) -> None:
        if len(self._latest) >= _KEPT:  # threads that do this at the same time lose a few texts
            self._earlier, self._latest = self._latest, {}
        self._latest[key] = text
