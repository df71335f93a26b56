"""Rebuilds a restored database from the orders' own events, while the service is stopped: docs/backups.md.

    MONGO_URI=... NATS_URL=... python -m orders.rebuild

An order's title is not in its events: it is that of the ticket, which a seller may have changed since, unless
the order still holds it.
"""

import asyncio

from orders.handlers import on_ticket_changed
from orders.models import Order, Ticket, TicketAsOrdered
from orders.repository import Orders
from ticketing_common.aggregate import EarlierEventUnderWay
from ticketing_common.events import (
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderRefunded,
    Status,
    TicketCreated,
    TicketUpdated,
)
from ticketing_common.jetstream import Bus
from ticketing_common.listener import Handlers
from ticketing_common.money import to_cents
from ticketing_common.mongo import Database, Documents
from ticketing_common.outbox import Relay
from ticketing_common.rebuild import rebuild

Decided = OrderCancelled | OrderCompleted | OrderRefunded

_STATUS: dict[type[Decided], Status] = {
    OrderCancelled: "cancelled",
    OrderCompleted: "complete",
    OrderRefunded: "refunded",
}


class Rebuilt(Orders):
    """The repository, and beside it the orders as documents whose changes are not announced."""

    def __init__(self, database: Database, bus: Bus) -> None:
        super().__init__(database, Relay(bus))
        self.told = Documents(database, "orders", Order)
        self.copies = Documents(database, "tickets", Ticket)


async def on_order_created(event: OrderCreated, orders: Rebuilt) -> None:
    if await orders.told.find(id=event.id):
        return
    ticket = await orders.copies.find(id=event.ticket.id)
    if ticket is None:
        raise EarlierEventUnderWay(f"ticket {event.ticket.id} is not known yet")
    ordered = TicketAsOrdered(ticket.id, ticket.title, to_cents(event.ticket.price), event.ticket.n)
    await orders.told.insert(
        Order(
            id=event.id,
            user_id=event.user_id,
            seller_id=ticket.seller_id,
            ticket=ordered,
            expires_at=event.expires_at,
        )
    )


async def on_order_decided(event: Decided, orders: Rebuilt) -> None:
    def decide(order: Order | None) -> Order:
        assert order is not None, "an order is created at version 0 and decided later"
        reason = event.reason if isinstance(event, OrderCancelled) else None
        return order.evolve(status=_STATUS[type(event)], reason=reason)

    await orders.told.follow(event.id, event.version, decide)


HANDLERS: Handlers = {
    TicketCreated: on_ticket_changed,
    TicketUpdated: on_ticket_changed,
    OrderCreated: on_order_created,
    OrderCancelled: on_order_decided,
    OrderCompleted: on_order_decided,
    OrderRefunded: on_order_decided,
}


async def main() -> int:
    return await rebuild("orders", HANDLERS, Rebuilt)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
