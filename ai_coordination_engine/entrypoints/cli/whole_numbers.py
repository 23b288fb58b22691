"""Options that take a whole number."""

import re
from collections.abc import Sequence
from typing import Any

from cyclopts import Token


def whole_number(_: Any, tokens: Sequence[Token]) -> int:
    """Convert an option; a fraction is refused instead of rounded. Raises `ValueError`."""
    (token,) = tokens
    if re.fullmatch(r"[+-]?[0-9]+", token.value) is None:
        raise ValueError(f'"{token.value}" is not a whole number.')
    return int(token.value)
