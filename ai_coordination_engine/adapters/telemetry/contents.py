"""Inputs and outputs of attempts, from their answer until their spans are exported.

They are kept only where the operator wants content exported.
"""

import json
from collections.abc import Mapping
from threading import Lock
from typing import Any

from ai_coordination_engine.domain import gen_ai
from ai_coordination_engine.runtime_ports import AgentRequest, AgentResult

_MOST = 1_000  # attempts, should their runs never be stored
_LONGEST = 32_000  # characters of a text


class Contents:
    """What attempts were given and have answered, by the id of their span. Thread-safe."""

    def __init__(self) -> None:
        self._kept: dict[str, Mapping[str, Any]] = {}
        self._lock = Lock()

    def keep(self, span_id: str, request: AgentRequest, result: AgentResult) -> None:
        """Keep the texts of an attempt, cut to 32,000 characters each."""
        texts: dict[str, Any] = {
            gen_ai.INPUT: json.dumps(gen_ai.message("user", request.input[:_LONGEST])),
            gen_ai.OUTPUT: json.dumps(gen_ai.message("assistant", result.output[:_LONGEST])),
        }
        if request.instructions:
            texts[gen_ai.INSTRUCTIONS] = request.instructions[:_LONGEST]
        with self._lock:
            while len(self._kept) >= _MOST:
                del self._kept[next(iter(self._kept))]
            self._kept[span_id] = texts

    def take(self, span_id: str) -> Mapping[str, Any]:
        """The attributes of an attempt; empty if it was not answered in this process."""
        with self._lock:
            return self._kept.pop(span_id, {})
