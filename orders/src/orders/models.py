"""An order and its states, our copy of a ticket, and what became of a refund.

created ──> complete ──> refunded
   └──────> cancelled (user, expired, payment-failed)
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ticketing_common.aggregate import Aggregate, NotDueYet
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


class OrderNotPaid(MarketError):
    message = "Only a paid order can be refunded"


class NotRefunded(NotFound):
    message = "The order was not refunded"


@dataclass(frozen=True, kw_only=True)
class Ticket(Aggregate):
    """A ticket as the tickets service last announced it."""

    title: str
    price_cents: int
    seller_id: str | None = None
    """None: copied before sellers were kept."""


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
    seller_id: str | None = None
    """None: ordered before sellers were kept; nobody can refund it."""
    ticket: TicketAsOrdered
    expires_at: datetime
    status: Status = "created"
    reason: Reason | None = None
    """Why it was cancelled."""


@dataclass(frozen=True)
class Hold:
    """What stands between a visitor and a ticket."""

    status: Literal["free", "reserved", "sold"]
    until: datetime | None = None
    """When a reservation ends, unless it is paid."""


def hold_of(last: Order | None) -> Hold:
    """How the `last` order of a ticket holds it."""
    if last is None or last.status in ("cancelled", "refunded"):
        return Hold("free")
    if last.status == "complete":
        return Hold("sold")
    return Hold("reserved", until=last.expires_at)


def place(
    order_id: str, user_id: str, ticket: Ticket, last: Order | None, now: datetime, window: timedelta
) -> Order:
    """The next order of a ticket, after its `last` one. Raises TicketReserved while that one holds it."""
    if hold_of(last).status != "free":
        raise TicketReserved
    n = last.ticket.n + 1 if last else 1
    ordered = TicketAsOrdered(ticket.id, ticket.title, ticket.price_cents, n)
    return Order(
        id=order_id, user_id=user_id, seller_id=ticket.seller_id, ticket=ordered, expires_at=now + window
    )


def withdraw(order: Order) -> Order:
    """Cancelled by its buyer; already cancelled is as good. Raises OrderComplete."""
    if order.status in ("complete", "refunded"):
        raise OrderComplete
    return cancel(order, "user")


def cancel(order: Order, reason: Reason) -> Order:
    """Cancelled, unless the order is decided already: whoever comes second finds it so."""
    return order.evolve(status="cancelled", reason=reason) if order.status == "created" else order


def expire(order: Order, now: datetime) -> Order:
    """Cancelled because it was not paid in time. Raises NotDueYet before `expires_at`.

    The expiration service decides by its own clock, which may be ahead of ours.
    """
    if order.status == "created" and now < order.expires_at:
        raise NotDueYet(order.expires_at)
    return cancel(order, "expired")


def complete(order: Order) -> Order:
    """Paid, unless the order is decided already."""
    return order.evolve(status="complete") if order.status == "created" else order


def refund(order: Order) -> Order:
    """Given back by its seller; already refunded is as good. Raises OrderNotPaid."""
    if order.status not in ("complete", "refunded"):
        raise OrderNotPaid
    return order.evolve(status="refunded")


@dataclass(frozen=True, kw_only=True)
class Takings:
    """What a seller's orders amount to, all of them together."""

    reserved: int
    """How many wait for their payment."""
    sold: int
    """How many are paid, and not given back."""
    earnings_cents: int
    """The prices of those sold, as they were ordered."""


@dataclass(frozen=True, kw_only=True)
class Refund(Aggregate):
    """What became of the money of a refunded order, as the payments service tells; `id` is the order's."""

    payment_version: int
    status: Literal["done", "failed"]
    code: str | None = None
    """Why it was refused, in Stripe's words."""


def later(known: Refund, told: Refund) -> Refund:
    """The refund after another event of its payment, which may come twice, late or out of order."""
    if told.payment_version <= known.payment_version:
        return known
    return known.evolve(payment_version=told.payment_version, status=told.status, code=told.code)


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
