"""Rebuilds a restored database from the orders' own events, while the service is stopped: docs/backups.md.

    MONGO_URI=... NATS_URL=... python -m orders.rebuild

An order's title is not in its events: it is that of the ticket, which a seller may have changed since, unless
the order still holds it.
"""

import asyncio

from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.listener import Handlers
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import Database
from ticketing_common.values.aggregate import EarlierEventMissing
from ticketing_common.values.events import (
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderRefunded,
    OrderStatus,
    TicketCreated,
    TicketUpdated,
)
from ticketing_common.values.money import to_cents
from ticketing_operations.rebuild.replay import rebuild

from orders.handlers import on_ticket_changed
from orders.models import Order, Ticket, TicketAsOrdered
from orders.repository import Orders

Decided = OrderCancelled | OrderCompleted | OrderRefunded

_STATUS: dict[type[Decided], OrderStatus] = {
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
        raise EarlierEventMissing(f"ticket {event.ticket.id} is not known yet")
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

    await orders.told.apply_change(event.id, event.version, decide)


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
