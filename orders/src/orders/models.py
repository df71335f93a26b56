"""Orders and their states, our copies of tickets, and the outcomes of refunds.

created ──> complete ──> refunded
   └──────> cancelled (user, expired, payment-failed)
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from ticketing_common.values.aggregate import Aggregate, NotDueYet
from ticketing_common.values.errors import MarketError, NotFound, NotYours
from ticketing_common.values.events import (
    CancellationReason,
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderedTicket,
    OrderRefunded,
    OrderStatus,
    PricedTicket,
)
from ticketing_common.values.money import to_dollars


class TicketAlreadyReserved(MarketError):
    message = "Ticket is already reserved"


class OrderAlreadyPaid(MarketError):
    message = "The order is paid and can no longer be cancelled"


class OrderNotPaid(MarketError):
    message = "Only a paid order can be refunded"


class OrderNotRefunded(NotFound):
    message = "The order was not refunded"


@dataclass(frozen=True, kw_only=True)
class Ticket(Aggregate):
    """Our copy of a ticket, updated from the events of the tickets service."""

    title: str
    price_cents: int
    seller_id: str | None = None
    """None in a copy stored by a release without sellers."""


@dataclass(frozen=True)
class TicketAsOrdered:
    """The ticket as it was when ordered: a later edit does not change the order."""

    id: str
    title: str
    price_cents: int
    n: int
    """This is the nth order of the ticket, counted from 1: a fencing token for consumers."""


@dataclass(frozen=True, kw_only=True)
class Order(Aggregate):
    user_id: str
    """The buyer."""
    seller_id: str | None = None
    """None in an order placed with a release without sellers; it cannot be refunded."""
    ticket: TicketAsOrdered
    expires_at: datetime
    status: OrderStatus = "created"
    reason: CancellationReason | None = None
    """Why the order was cancelled."""


@dataclass(frozen=True)
class Hold:
    """Whether a ticket can be ordered."""

    status: Literal["free", "reserved", "sold"]
    until: datetime | None = None
    """When a reservation expires if it is not paid."""


def determine_hold(last: Order | None) -> Hold:
    """The hold of a ticket whose latest order is `last`."""
    if last is None or last.status in ("cancelled", "refunded"):
        return Hold("free")
    if last.status == "complete":
        return Hold("sold")
    return Hold("reserved", until=last.expires_at)


def create_order(
    order_id: str, buyer_id: str, ticket: Ticket, last: Order | None, now: datetime, window: timedelta
) -> Order:
    """The ticket's next order after `last`. Raises TicketAlreadyReserved if `last` has not ended."""
    if determine_hold(last).status != "free":
        raise TicketAlreadyReserved
    n = last.ticket.n + 1 if last else 1
    ordered = TicketAsOrdered(ticket.id, ticket.title, ticket.price_cents, n)
    return Order(
        id=order_id, user_id=buyer_id, seller_id=ticket.seller_id, ticket=ordered, expires_at=now + window
    )


def check_buyer(order: Order, user_id: str) -> None:
    """Raise NotYours unless the user placed the order."""
    if order.user_id != user_id:
        raise NotYours


def check_seller(order: Order, user_id: str) -> None:
    """Raise NotYours unless the user sold the ticket."""
    if order.seller_id != user_id:
        raise NotYours


def cancel_by_buyer(order: Order) -> Order:
    """Cancel an unpaid order; a cancelled one stays unchanged. Raises OrderAlreadyPaid."""
    if order.status in ("complete", "refunded"):
        raise OrderAlreadyPaid
    return cancel(order, "user")


def cancel(order: Order, reason: CancellationReason) -> Order:
    """Cancel the order if it is still `created`."""
    return order.evolve(status="cancelled", reason=reason) if order.status == "created" else order


def expire(order: Order, now: datetime) -> Order:
    """Cancel the order because it was not paid in time. Raises NotDueYet before `expires_at`.

    The clock of the expiration service may be ahead of ours.
    """
    if order.status == "created" and now < order.expires_at:
        raise NotDueYet(order.expires_at)
    return cancel(order, "expired")


def complete(order: Order) -> Order:
    """Mark the order as paid if it is still `created`."""
    return order.evolve(status="complete") if order.status == "created" else order


def refund(order: Order) -> Order:
    """Refund a paid order; a refunded one stays unchanged. Raises OrderNotPaid."""
    if order.status not in ("complete", "refunded"):
        raise OrderNotPaid
    return order.evolve(status="refunded")


@dataclass(frozen=True, kw_only=True)
class SalesTotals:
    """The totals of all orders of a seller's tickets."""

    reserved: int
    """The number of unpaid orders."""
    sold: int
    """The number of orders that are paid and not refunded."""
    earnings_cents: int
    """The sum of the prices of the sold tickets, as ordered."""


@dataclass(frozen=True, kw_only=True)
class Refund(Aggregate):
    """The outcome of a refund, updated from the events of the payments service; `id` is the order's."""

    payment_version: int
    status: Literal["done", "failed"]
    code: str | None = None
    """Stripe's code for a failure."""


def update_refund(known: Refund, received: Refund) -> Refund:
    """The newer of the two outcomes: events may be duplicated, late or out of order."""
    if received.payment_version <= known.payment_version:
        return known
    return known.evolve(payment_version=received.payment_version, status=received.status, code=received.code)


def event_of(order: Order) -> OrderCreated | OrderCancelled | OrderCompleted | OrderRefunded:
    """The event that describes the order's latest change."""
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
