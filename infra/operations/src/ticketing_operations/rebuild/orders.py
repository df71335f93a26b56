"""Rebuilds orders from their own events and those of tickets.

The events of an order do not contain the title of the ticket, so it is read from the ticket. If the order no
longer reserves the ticket, the seller may have changed the title since.
"""

from orders.handlers import on_ticket_changed
from orders.models import Order, Ticket, TicketAsOrdered
from orders.repository import Orders
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.listener import Handlers
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import Database
from ticketing_common.storage.outbox import Outbox
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

DecisionEvent = OrderCancelled | OrderCompleted | OrderRefunded

_STATUS: dict[type[DecisionEvent], OrderStatus] = {
    OrderCancelled: "cancelled",
    OrderCompleted: "complete",
    OrderRefunded: "refunded",
}


class RebuiltOrders(Orders):
    """The repository, and the same documents without outboxes, so that a rebuild publishes nothing."""

    def __init__(self, database: Database, bus: Bus) -> None:
        super().__init__(database, Outbox(), Arrivals(bus))
        self.orders = Documents(database, "orders", Order)
        self.copies = Documents(database, "tickets", Ticket)


async def on_order_created(event: OrderCreated, orders: RebuiltOrders) -> None:
    if await orders.orders.find(id=event.id):
        return
    ticket = await orders.copies.find(id=event.ticket.id)
    if ticket is None:
        raise EarlierEventMissing(f"ticket {event.ticket.id} is missing")
    ordered = TicketAsOrdered(ticket.id, ticket.title, to_cents(event.ticket.price), event.ticket.n)
    await orders.orders.insert(
        Order(
            id=event.id,
            user_id=event.user_id,
            seller_id=ticket.seller_id,
            ticket=ordered,
            expires_at=event.expires_at,
        )
    )


async def on_order_decided(event: DecisionEvent, orders: RebuiltOrders) -> None:
    def decide(order: Order | None) -> Order:
        assert order is not None, "version 0 creates an order, later versions decide it"
        reason = event.reason if isinstance(event, OrderCancelled) else None
        return order.evolve(status=_STATUS[type(event)], reason=reason)

    await orders.orders.apply_change(event.id, event.version, decide)


HANDLERS: Handlers = {
    TicketCreated: on_ticket_changed,
    TicketUpdated: on_ticket_changed,
    OrderCreated: on_order_created,
    OrderCancelled: on_order_decided,
    OrderCompleted: on_order_decided,
    OrderRefunded: on_order_decided,
}


def open_repository(database: Database, bus: Bus) -> RebuiltOrders:
    return RebuiltOrders(database, bus)
