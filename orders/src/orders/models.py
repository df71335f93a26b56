"""An order and its states, and our copy of a ticket.

created ──> complete ──> refunded
   └──────> cancelled (user, expired, payment-failed)
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from ticketing_common.aggregate import Aggregate
from ticketing_common.errors import MarketError, NotFound
from ticketing_common.events import (
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderedTicket,
    OrderRefunded,
    PricedTicket,
    Reason,
    Status,
)
from ticketing_common.money import to_dollars


class NoSuchTicket(NotFound):
    message = "There is no such ticket"


class NoSuchOrder(NotFound):
    message = "There is no such order"


class TicketReserved(MarketError):
    message = "Ticket is already reserved"


class OrderComplete(MarketError):
    message = "The order is paid and can no longer be cancelled"


@dataclass(frozen=True, kw_only=True)
class Ticket(Aggregate):
    """A ticket as the tickets service last announced it."""

    title: str
    price_cents: int


@dataclass(frozen=True)
class TicketAsOrdered:
    """What was bought, at the price it had then: a later edit changes no order."""

    id: str
    title: str
    price_cents: int
    n: int
    """This is the nth order of the ticket, from 1: a fencing token for those who follow."""


@dataclass(frozen=True, kw_only=True)
class Order(Aggregate):
    user_id: str
    """The buyer."""
    ticket: TicketAsOrdered
    expires_at: datetime
    status: Status = "created"
    reason: Reason | None = None
    """Why it was cancelled."""


def place(
    order_id: str, user_id: str, ticket: Ticket, last: Order | None, now: datetime, window: timedelta
) -> Order:
    """The next order of a ticket, after its `last` one. Raises TicketReserved while that one holds it."""
    if last is not None and last.status not in ("cancelled", "refunded"):
        raise TicketReserved
    n = last.ticket.n + 1 if last else 1
    ordered = TicketAsOrdered(ticket.id, ticket.title, ticket.price_cents, n)
    return Order(id=order_id, user_id=user_id, ticket=ordered, expires_at=now + window)


def withdraw(order: Order) -> Order:
    """Cancelled by its buyer; already cancelled is as good. Raises OrderComplete."""
    if order.status in ("complete", "refunded"):
        raise OrderComplete
    return cancel(order, "user")


def cancel(order: Order, reason: Reason) -> Order:
    """Cancelled, unless the order is decided already: whoever comes second finds it so."""
    return order.evolve(status="cancelled", reason=reason) if order.status == "created" else order


def complete(order: Order) -> Order:
    """Paid, unless the order is decided already."""
    return order.evolve(status="complete") if order.status == "created" else order


def announce(order: Order) -> OrderCreated | OrderCancelled | OrderCompleted | OrderRefunded:
    """The event that tells what the order has become."""
    ticket = OrderedTicket(id=order.ticket.id, n=order.ticket.n)
    if order.status == "cancelled":
        assert order.reason is not None
        return OrderCancelled(id=order.id, version=order.version, reason=order.reason, ticket=ticket)
    if order.status == "complete":
        return OrderCompleted(id=order.id, version=order.version, user_id=order.user_id, ticket=ticket)
    if order.status == "refunded":
        return OrderRefunded(id=order.id, version=order.version, user_id=order.user_id, ticket=ticket)
    return OrderCreated(
        id=order.id,
        version=order.version,
        status=order.status,
        user_id=order.user_id,
        expires_at=order.expires_at,
        ticket=PricedTicket(id=ticket.id, n=ticket.n, price=to_dollars(order.ticket.price_cents)),
    )
