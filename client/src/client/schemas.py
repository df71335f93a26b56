"""What the services answer, as far as a page shows it."""

from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

from pydantic import AwareDatetime

from ticketing_common.events import Reason, Status
from ticketing_common.money import Dollars
from ticketing_common.wire import Wire

T = TypeVar("T")


class Ticket(Wire):
    id: str
    title: str
    price: Dollars
    user_id: str
    """The seller."""
    version: int
    order_id: str | None
    """The order that holds it, paid or not; None: for sale."""

    @property
    def listed_at(self) -> datetime:
        """The id says it, to the second: it begins as every ObjectId of MongoDB does."""
        return datetime.fromtimestamp(int(self.id[:8], 16), UTC)


class Hold(Wire):
    """What stands between a visitor and a ticket."""

    status: Literal["free", "reserved", "sold"]
    until: AwareDatetime | None


class OrderedTicket(Wire):
    id: str
    title: str
    price: Dollars


class Order(Wire):
    id: str
    status: Status
    reason: Reason | None
    expires_at: AwareDatetime
    ticket: OrderedTicket

    @property
    def placed_at(self) -> datetime:
        return datetime.fromtimestamp(int(self.id[:8], 16), UTC)


class Refund(Wire):
    status: Literal["pending", "done", "failed"]


class Sales(Wire):
    reserved: int
    sold: int
    earnings: Dollars
    orders: list[Order]


class StripeConfig(Wire):
    publishable_key: str
    stripe_js: str


class Page(Wire, Generic[T]):
    """Some of a list."""

    items: list[T]
    next_cursor: str | None
    """Where the rest begins; None: that was all."""
    position: str | None = None
    """Where the stream of events stood, see GET /api/tickets/events."""
