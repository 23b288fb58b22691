"""The documents that were used last, within a limit on their length in total."""

from collections import OrderedDict
from threading import Lock

from graphql import DocumentNode


class DocumentCache:
    """Keeps valid documents by their source, at most `longest` characters each and `total` in all.

    The length stands for the memory, which is 100 to 350 bytes a character. Thread-safe.
    """

    def __init__(self, longest: int, total: int) -> None:
        self._longest, self._total = longest, total
        self._kept: OrderedDict[str, DocumentNode] = OrderedDict()
        self._length = 0
        self._lock = Lock()

    def get(self, source: str) -> DocumentNode | None:
        """Return the document of this source if it is kept."""
        with self._lock:
            if source in self._kept:
                self._kept.move_to_end(source)
            return self._kept.get(source)

    def put(self, source: str, document: DocumentNode) -> None:
        """Keep a document, unless it is too long, and drop the ones that were not used longest."""
        if len(source) > self._longest:
            return
        with self._lock:
            if source not in self._kept:
                self._length += len(source)
            self._kept[source] = document
            while self._length > self._total:
                dropped, _ = self._kept.popitem(last=False)
                self._length -= len(dropped)
