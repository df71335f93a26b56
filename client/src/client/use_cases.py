"""Use cases that take more than one call to the services."""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from client.gateway import Gateway, RequestRejected
from client.schemas import Hold, Order, Refund, ResultPage, Sales, StripeConfig, Ticket
from ticketing_common.values.errors import MarketError, Unavailable

T = TypeVar("T")

SalesTab = Literal["for-sale", "reserved", "sold", "refunded"]

_STATUS_BY_TAB = {"for-sale": "complete", "reserved": "created", "sold": "complete", "refunded": "refunded"}
"""The order status to query. The tab "for-sale" shows only the totals of the result."""


async def buy_ticket(gateway: Gateway, ticket_id: str, key: str) -> Order:
    """Places an order. Returns the visitor's existing order of the ticket if they already have one.

    That happens when two tabs send the form. `key` is the form's Idempotency-Key.
    """
    try:
        return await gateway.place_order(ticket_id, key)
    except RequestRejected:
        for order in (await gateway.find_orders(None)).items:
            if order.ticket.id == ticket_id and order.status in ("created", "complete"):
                return order
        raise


@dataclass(frozen=True)
class TicketView:
    """A ticket, with its hold and the visitor's own order of it as far as they could be fetched."""

    ticket: Ticket
    stream_position: str | None
    """The position of the event stream when the ticket was read."""
    hold: Hold | None = None
    own_order: Order | None = None

    @property
    def state(self) -> Literal["free", "reserved", "sold"]:
        if not self.ticket.order_id:
            return "free"
        return "sold" if self.hold and self.hold.status == "sold" else "reserved"

    @property
    def reserved_until(self) -> datetime | None:
        return self.hold.until if self.hold else None


async def view_ticket(gateway: Gateway, ticket_id: str) -> TicketView:
    ticket, stream_position = await gateway.get_ticket(ticket_id)
    if not ticket.order_id:
        return TicketView(ticket, stream_position)
    hold, own_order = await asyncio.gather(
        _none_on(MarketError, gateway.get_hold(ticket.id)),
        _find_own_order(gateway, ticket.order_id),
    )
    return TicketView(ticket, stream_position, hold, own_order)


async def _find_own_order(gateway: Gateway, order_id: str) -> Order | None:
    """The order, if it is the visitor's."""
    return await _none_on(MarketError, gateway.get_order(order_id)) if gateway.user else None


@dataclass(frozen=True)
class OrderView:
    order: Order
    stripe: StripeConfig | None
    """None if there is nothing to pay, or if the payments service is unavailable."""
    refund: Refund | None
    """None if there is no refund, or if its status could not be fetched."""


async def view_order(gateway: Gateway, order_id: str) -> OrderView:
    order = await gateway.get_order(order_id)
    stripe = refund = None
    if order.status == "created":
        stripe = await _none_on(Unavailable, gateway.get_stripe_config())
    if order.status == "refunded":
        refund = await _none_on(MarketError, gateway.get_refund(order.id))
    return OrderView(order, stripe, refund)


@dataclass(frozen=True)
class SalesView:
    tickets: ResultPage[Ticket] | None
    """None on the tabs that show orders, or if the tickets service is unavailable."""
    sales: Sales | None
    """None if the orders service is unavailable."""
    next_cursor: str | None


async def view_sales(gateway: Gateway, tab: SalesTab, cursor: str | None) -> SalesView:
    """The visitor's sales. A service that is unavailable costs only its part of the view."""
    if tab != "for-sale":
        found = await _none_on(Unavailable, gateway.find_sales(_STATUS_BY_TAB[tab], cursor))
        sales, next_cursor = found or (None, None)
        return SalesView(None, sales, next_cursor)
    tickets, found = await asyncio.gather(
        _none_on(Unavailable, gateway.find_own_tickets_for_sale(cursor)),
        _none_on(Unavailable, gateway.find_sales(_STATUS_BY_TAB[tab], None)),
    )
    return SalesView(tickets, found[0] if found else None, tickets.next_cursor if tickets else None)


async def _none_on(error: type[MarketError], call: Awaitable[T]) -> T | None:
    """The result of the call; None if it raises this error."""
    try:
        return await call
    except error:
        return None
