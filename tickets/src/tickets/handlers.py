"""What the tickets service does on each event of an order."""

from functools import partial

from ticketing_common.events import OrderCancelled, OrderCompleted, OrderCreated, OrderRefunded
from ticketing_common.listener import Handlers
from tickets.models import follow_order
from tickets.repository import Tickets

OrderEvent = OrderCreated | OrderCompleted | OrderCancelled | OrderRefunded


async def on_order_live(event: OrderCreated | OrderCompleted, tickets: Tickets) -> None:
    """A completed order holds its ticket like a new one, and may be heard of first."""
    await _follow(event, tickets, live=True)


async def on_order_ended(event: OrderCancelled | OrderRefunded, tickets: Tickets) -> None:
    await _follow(event, tickets, live=False)


async def _follow(event: OrderEvent, tickets: Tickets, *, live: bool) -> None:
    decision = partial(follow_order, order_id=event.id, n=event.ticket.n, live=live)
    await tickets.change(event.ticket.id, decision)


HANDLERS: Handlers = {
    OrderCreated: on_order_live,
    OrderCompleted: on_order_live,
    OrderCancelled: on_order_ended,
    OrderRefunded: on_order_ended,
}
