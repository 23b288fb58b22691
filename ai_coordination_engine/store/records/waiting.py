"""The sessions of a tenant in which somebody waits for a person, read from the inbox.

A session's own row does not say so: it would be one more write whenever a question is asked or
answered. The lists and the counts of sessions are the callers.
"""

from collections.abc import Iterator, Set

from ai_coordination_engine.data_classes import dataclass
from ai_coordination_engine.store.keys import Key
from ai_coordination_engine.store.models import SessionAgent
from ai_coordination_engine.store.records.entities import INBOX
from ai_coordination_engine.store.records.reads import visible
from ai_coordination_engine.store.records.repository import Repository
from ai_coordination_engine.store.tables.items import RawKey

MAX_QUESTIONS = 1_000  # the latest questions of a tenant in which sessions are looked for


@dataclass(frozen=True, slots=True)
class Waiting:
    """The keys of sessions that wait for a person; `is_all`: there are no more questions."""

    sessions: Set[Key]
    is_all: bool

    def below(self, parent: str | None, prefix: str, start: Key | None) -> Iterator[Key]:
        """The keys of one coordination (None: of all) that begin with a prefix, and come after
        `start`, in descending order of the sessions' uuids.
        """
        keys = [key for key in self.sessions if parent in (None, key[0])]
        keys = [key for key in keys if key[1].startswith(prefix)]
        keys.sort(key=_order, reverse=True)
        return (key for key in keys if start is None or _order(key) < _order(start))


def _order(key: Key) -> tuple[str, str]:
    return key[1], key[0]


def waiting_sessions(repository: Repository, tenant: str) -> Waiting:
    """The sessions of the latest questions; one Query per megabyte of session agents."""
    agents = [*_questions(repository, tenant)]
    latest = agents[:MAX_QUESTIONS]
    keys = {each.session_key for each in latest if visible(each, tenant) is not None}
    return Waiting(keys, len(latest) == len(agents))


def _questions(repository: Repository, tenant: str) -> Iterator[SessionAgent]:
    """The latest questions, at least one more than the bound if there are so many."""
    table, left, after = repository.table(INBOX), MAX_QUESTIONS + 1, None
    while left > 0:
        page: list[SessionAgent]
        start: RawKey | None
        page, start = table.query_index("inbox", tenant, after=after, limit=left, forward=False)
        yield from page
        if start is None:
            return
        left, after = left - len(page), start
