"""What the expiration service does on each event of an order: it updates the ledger, then the order's job."""

from dataclasses import dataclass

from expiration.models import Entry, begin, settle
from expiration.pending import PendingJobs
from expiration.repository import Ledger
from ticketing_common.messaging.listener import Handlers
from ticketing_common.values.clock import now
from ticketing_common.values.events import OrderCancelled, OrderCompleted, OrderCreated


@dataclass(frozen=True)
class Expirations:
    """Both places where an expiry is kept. Only the ledger must not lose it."""

    ledger: Ledger
    jobs: PendingJobs


async def on_order_created(event: OrderCreated, expirations: Expirations) -> None:
    entry = await expirations.ledger.follow(
        event.id, event.version, lambda _: begin(event.id, event.expires_at)
    )
    if entry:
        expirations.jobs.add(entry.id, entry.expires_at)


async def on_order_decided(event: OrderCancelled | OrderCompleted, expirations: Expirations) -> None:
    def decide(entry: Entry | None) -> Entry:
        assert entry is not None, "an order is created at version 0 and decided later"
        return settle(entry, now())

    if await expirations.ledger.follow(event.id, event.version, decide):
        expirations.jobs.remove(event.id)


HANDLERS: Handlers = {
    OrderCreated: on_order_created,
    OrderCancelled: on_order_decided,
    OrderCompleted: on_order_decided,
}
