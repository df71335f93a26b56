"""The event handlers of the tickets service: orders reserve and free tickets."""

from functools import partial

from ticketing_common.messaging.listener import Handlers
from ticketing_common.values.events import OrderCancelled, OrderCompleted, OrderCreated, OrderRefunded
from tickets.models import apply_order
from tickets.repository import Tickets


async def on_order_live(event: OrderCreated | OrderCompleted, tickets: Tickets) -> None:
    """order.completed reserves the ticket too: it may arrive before order.created."""
    decide = partial(apply_order, order_id=event.id, n=event.ticket.n, live=True)
    await tickets.change(event.ticket.id, decide)


async def on_order_ended(event: OrderCancelled | OrderRefunded, tickets: Tickets) -> None:
    decide = partial(apply_order, order_id=event.id, n=event.ticket.n, live=False)
    await tickets.change(event.ticket.id, decide)


HANDLERS: Handlers = {
    OrderCreated: on_order_live,
    OrderCompleted: on_order_live,
    OrderCancelled: on_order_ended,
    OrderRefunded: on_order_ended,
}
