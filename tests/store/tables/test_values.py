"""Values are stored as DynamoDB stores them, however they are written."""

from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ai_coordination_engine.store.tables.values import Invalid, digits, stored

NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.from_regex(
    r"-?[0-9]{1,40}(\.[0-9]{1,40})?", fullmatch=True
)


@given(NUMBERS)
@example("1795701777.643516")
@example("0.10")
@example("-0.0")
@example("007")
@example("9" * 19 + "." + "9" * 18)
@example("9" * 20 + "." + "9" * 19)
def test_a_number_is_stored_in_one_way(text: str) -> None:
    try:
        expected = digits(Decimal(text))
    except Invalid:
        with pytest.raises(Invalid):
            stored({"N": text})
        return
    assert stored({"N": text}) == {"N": expected}
