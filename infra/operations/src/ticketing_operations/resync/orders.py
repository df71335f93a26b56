"""The events that publish an order again, from its creation to its current state."""

from orders.models import Order, event_of
from ticketing_common.values.events import Event
from ticketing_operations.resync.publish import Source


def events_of(order: Order) -> list[Event]:
    """All events of the order, because each contains only a change."""
    states = [order.evolve(status="created", reason=None)]
    if order.status == "refunded":
        states.append(order.evolve(status="complete"))
    if order.status != "created":
        states.append(order)
    return [event_of(state.evolve(version=version)) for version, state in enumerate(states)]


SOURCE = Source("orders", "orders", Order, events_of)
