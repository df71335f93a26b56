"""Publishes every event of orders anew, rebuilt from their present state: docs/operations.md.

MONGO_URI=... NATS_URL=... python -m orders.resync (ID ... | --all)
"""

import asyncio

from ticketing_common.values.events import Event
from ticketing_operations.resync.publish import Source, resync

from orders.models import Order, event_of


def events_of(order: Order) -> list[Event]:
    """The events of an order from its creation on: each of them tells only what changed."""
    states = [order.evolve(status="created", reason=None)]
    if order.status == "refunded":
        states.append(order.evolve(status="complete"))
    if order.status != "created":
        states.append(order)
    return [event_of(state.evolve(version=version)) for version, state in enumerate(states)]


SOURCE = Source("orders", "orders", Order, events_of)


async def main() -> int:
    return await resync(SOURCE)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
