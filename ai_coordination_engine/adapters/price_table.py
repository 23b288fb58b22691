"""The prices that ship with the release, and those of the settings."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path

from ai_coordination_engine.domain.prices import Cost, PriceTable, Rates
from ai_coordination_engine.domain.usage import Usage
from ai_coordination_engine.runtime_settings import OwnPrice

TABLE = Path(__file__).with_name("prices.json")


class LazyPrices:
    """Implements `ports.Prices`; reads the table when the first price is asked for. Thread-safe."""

    def __init__(self, own: Mapping[str, OwnPrice]) -> None:
        self._own = own

    def cost(self, usage: Usage, at: datetime) -> Cost | None:
        """What the usage costs at that time; None when that is not known."""
        return None if usage.model is None else self._table.cost(usage, at)

    def worst_case(
        self,
        model: str,
        provider: str | None,
        input_tokens: int,
        max_tokens: int,
        at: datetime,
        *,
        requests: int = 1,
    ) -> int | None:
        """What requests of so many tokens cost at most; None for a model without a price."""
        sizes = input_tokens, max_tokens
        return self._table.worst_case(model, provider, *sizes, at, requests=requests)

    @cached_property
    def _table(self) -> PriceTable:
        own = {name: Rates(**price.rates()) for name, price in self._own.items()}
        told = json.dumps(
            {name: price.rates() for name, price in self._own.items()}, sort_keys=True
        )
        version = hashlib.sha256(told.encode()).hexdigest()[:8]
        data = json.loads(TABLE.read_text("utf-8"), parse_float=Decimal)
        return PriceTable(data, own, version)
