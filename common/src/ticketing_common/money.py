"""Money: a JSON number of dollars on the wire, an integer of cents inside, and the way between them."""

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainSerializer
from pydantic_core import PydanticCustomError


def _only_numbers(value: Any) -> Any:
    """JSON strings and booleans are no amounts, though Decimal would take them."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise PydanticCustomError("number", "Must be a number")
    return value


Dollars = Annotated[
    Decimal, BeforeValidator(_only_numbers), PlainSerializer(float, return_type=float, when_used="json")
]
"""An amount on the wire. A JSON number is read by its shortest decimal form: 19.99 is Decimal("19.99")."""


def to_cents(dollars: Decimal) -> int:
    """The exact number of cents. Raises ValueError when there are more than two decimals."""
    cents = dollars * 100
    if cents != cents.to_integral_value():
        raise ValueError(f"{dollars} is no whole number of cents")
    return int(cents)


def to_dollars(cents: int) -> Decimal:
    return Decimal(cents) / 100
