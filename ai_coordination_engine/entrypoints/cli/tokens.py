"""The tokens that the agents of a session have used."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from ai_coordination_engine.client import SessionView, TooComplex

MOST_AGENTS = 500  # of a session whose tokens are read
EVERY_SECONDS = 1.0
_RUNS = """
query ($coordinationUuid: String!, $sessionUuid: String!) {
  session(coordinationUuid: $coordinationUuid, sessionUuid: $sessionUuid) {
    sessionRuns { sessionAgentUuid totalTokens }
  }
}"""


class Tokens:
    """Reads them for the latest session, at most once a second while it runs."""

    def __init__(self, execute: Callable[[str, Mapping[str, Any]], dict[str, Any]]) -> None:
        self._execute = execute
        self._session = ""
        self._read_at = 0.0
        self._tokens: Mapping[str, int] = {}

    def of(self, session: SessionView) -> Mapping[str, int]:
        """The tokens by the uuids of agents; agents whose runtimes did not count are missing."""
        if len(session.session_agents) > MOST_AGENTS:
            return {}
        is_other = session.session_uuid != self._session
        is_old = time.monotonic() - self._read_at >= EVERY_SECONDS
        stays_so = session.has_ended or bool(session.waiting)
        if is_other or is_old or stays_so:
            self._session, self._tokens = session.session_uuid, self._read(session)
            self._read_at = time.monotonic()
        return self._tokens

    def _read(self, session: SessionView) -> Mapping[str, int]:
        keys = {
            "coordinationUuid": session.coordination_uuid,
            "sessionUuid": session.session_uuid,
        }
        tokens: Counter[str] = Counter()
        with suppress(TooComplex):
            found = self._execute(_RUNS, keys)["session"] or {}
            for run in found.get("sessionRuns") or ():
                if run["totalTokens"] is not None:
                    tokens[run["sessionAgentUuid"]] += run["totalTokens"]
        return tokens
