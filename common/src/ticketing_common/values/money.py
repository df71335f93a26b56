"""Money: a JSON number of US dollars on the wire, an integer of cents in memory and storage."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError


def _require_number(value: Any) -> Any:
    """Rejects strings and booleans, which Decimal would accept."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PydanticCustomError("number", "Must be a number")
    return value


Dollars = Annotated[
    Decimal, BeforeValidator(_require_number), PlainSerializer(float, return_type=float, when_used="json")
]
"""An amount on the wire. A JSON number is read by its shortest decimal form: 19.99 is Decimal("19.99")."""


def to_cents(dollars: Decimal) -> int:
    """The exact number of cents. Raises ValueError if there are more than two decimals."""
    cents = dollars * 100
    if cents != cents.to_integral_value():
        raise ValueError(f"{dollars} is not a whole number of cents")
    return int(cents)


def to_dollars(cents: int) -> Decimal:
    return Decimal(cents) / 100
