"""The prices that ship with the release, and those of the settings."""

import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from ai_coordination_engine.domain.prices import PriceTable, Rates
from ai_coordination_engine.runtime_settings import OwnPrice

TABLE = Path(__file__).with_name("prices.json")


def prices_of(own: Mapping[str, OwnPrice]) -> PriceTable:
    """The prices; those of the release are read when the first one is asked for."""
    told = {name: price.rates() for name, price in own.items()}
    version = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:8]
    return PriceTable(_shipped, {name: Rates(**rates) for name, rates in told.items()}, version)


def _shipped() -> Any:
    return json.loads(TABLE.read_text("utf-8"), parse_float=Decimal)
