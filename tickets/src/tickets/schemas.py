"""The request and response bodies of the tickets service."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated

from pydantic import Field, StringConstraints, WithJsonSchema
from pydantic_core import to_json

from ticketing_common.values.money import Dollars, to_dollars
from ticketing_common.values.wire import ErrorMessage, RequestBody, WireModel
from tickets.models import Ticket


class TicketIn(RequestBody):
    title: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"\S"),
        ErrorMessage("Title must be between 1 and 200 characters"),
    ]
    price: Annotated[
        Dollars,
        # Stripe's minimum charge is half a dollar.
        Field(ge=Decimal("0.50"), le=Decimal("999999.99"), decimal_places=2),
        # Pydantic's own schema lacks the bounds of a Decimal and also allows a string. "multipleOf": 0.01 is
        # left out, because in the binary floating point of many validators 19.99 is not a multiple of 0.01.
        WithJsonSchema({"type": "number", "minimum": 0.5, "maximum": 999999.99}),
        ErrorMessage("Price must be a number from 0.50 to 999999.99 with at most 2 decimals"),
    ]


class TicketOut(WireModel):
    id: str
    title: str
    price: Dollars
    user_id: str
    version: int
    order_id: str | None

    @classmethod
    def of(cls, ticket: Ticket) -> "TicketOut":
        return cls(
            id=ticket.id,
            title=ticket.title,
            price=to_dollars(ticket.price_cents),
            user_id=ticket.user_id,
            version=ticket.version,
            order_id=ticket.order_id,
        )


def as_json(tickets: Iterable[Ticket]) -> bytes:
    """The JSON of a list of TicketOut, five times as fast as with fifty TicketOut instances."""
    return to_json(
        [
            {
                "id": ticket.id,
                "title": ticket.title,
                "price": ticket.price_cents / 100,
                "userId": ticket.user_id,
                "version": ticket.version,
                "orderId": ticket.order_id,
            }
            for ticket in tickets
        ]
    )
