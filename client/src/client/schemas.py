"""The services' responses, reduced to the fields that pages show."""

from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

from pydantic import AwareDatetime

from ticketing_common.values.events import CancellationReason, OrderStatus
from ticketing_common.values.money import Dollars
from ticketing_common.values.wire import WireModel

T = TypeVar("T")


class Ticket(WireModel):
    id: str
    title: str
    price: Dollars
    user_id: str
    """The seller."""
    version: int
    order_id: str | None
    """The order that reserves the ticket, paid or not; None while it is for sale."""

    @property
    def listed_at(self) -> datetime:
        return _creation_time(self.id)


class Hold(WireModel):
    """Whether a ticket is reserved, and until when."""

    status: Literal["free", "reserved", "sold"]
    until: AwareDatetime | None


class OrderedTicket(WireModel):
    id: str
    title: str
    price: Dollars


class Order(WireModel):
    id: str
    status: OrderStatus
    reason: CancellationReason | None
    expires_at: AwareDatetime
    ticket: OrderedTicket

    @property
    def placed_at(self) -> datetime:
        return _creation_time(self.id)


class Refund(WireModel):
    status: Literal["pending", "done", "failed"]


class Sales(WireModel):
    reserved: int
    sold: int
    earnings: Dollars
    orders: list[Order]


class StripeConfig(WireModel):
    publishable_key: str
    stripe_js: str


class ResultPage(WireModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None
    """None on the last page."""
    stream_position: str | None = None
    """The position of the event stream when the list was read, see GET /api/tickets/events."""


def _creation_time(object_id: str) -> datetime:
    """To the second. A MongoDB ObjectId begins with its creation time: 8 hex digits of Unix seconds."""
    return datetime.fromtimestamp(int(object_id[:8], 16), UTC)
