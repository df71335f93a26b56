"""The event handlers of the expiration service: they change the ledger, and note the change of a job."""

from dataclasses import dataclass

from expiration.job_changes import JobChanges
from expiration.models import Entry, create_entry, resolve
from expiration.repository import Ledger
from ticketing_common.messaging.listener import Handlers
from ticketing_common.values.clock import now
from ticketing_common.values.events import OrderCancelled, OrderCompleted, OrderCreated


@dataclass(frozen=True)
class Expirations:
    """The durable ledger and the jobs in Redis, which may be lost."""

    ledger: Ledger
    job_changes: JobChanges


async def on_order_created(event: OrderCreated, expirations: Expirations) -> None:
    entry = await expirations.ledger.apply_change(
        event.id, event.version, lambda _: create_entry(event.id, event.expires_at)
    )
    if entry:
        expirations.job_changes.add_job(entry.id, entry.expires_at)


async def on_order_decided(event: OrderCancelled | OrderCompleted, expirations: Expirations) -> None:
    def decide(entry: Entry | None) -> Entry:
        assert entry is not None, "an order is created at version 0 and decided later"
        return resolve(entry, now())

    if await expirations.ledger.apply_change(event.id, event.version, decide):
        expirations.job_changes.remove_job(event.id)


HANDLERS: Handlers = {
    OrderCreated: on_order_created,
    OrderCancelled: on_order_decided,
    OrderCompleted: on_order_decided,
}
