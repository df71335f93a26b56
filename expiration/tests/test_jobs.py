"""Publishing expiries, by a job and by the check of the ledger."""

import asyncio
from datetime import timedelta

from prometheus_client import REGISTRY

from expiration.jobs import Publisher
from expiration.models import create_entry
from ticketing_common.testing import published, wait_until
from ticketing_common.values.clock import now
from ticketing_common.values.events import ExpirationComplete


async def test_each_expiry_is_published_once_and_its_delay_measured(ledger, bus):
    for seconds in (3, 10):
        entry = create_entry(f"order-{seconds}", now() - timedelta(seconds=seconds))
        await ledger.apply_change(entry.id, 0, lambda _, entry=entry: entry)
    before = [_count_late(bound) for bound in ("2.5", "5.0", "15.0")]
    publisher = Publisher(ledger, bus)
    await publisher.publish_due("job", lambda: False)
    await publisher.publish_due("job", lambda: False)
    assert {e.order_id for e in await published(bus, ExpirationComplete)} == {"order-3", "order-10"}
    added = [_count_late(bound) - b for bound, b in zip(("2.5", "5.0", "15.0"), before, strict=True)]
    assert added == [0, 1, 2]


async def test_expiry_without_a_job_is_published_from_the_ledger_after_a_delay(ledger, bus):
    stopping = asyncio.Event()
    publishing = asyncio.create_task(Publisher(ledger, bus).publish_overdue(stopping))
    entry = create_entry("order", now() + timedelta(seconds=0.5))
    await ledger.apply_change(entry.id, 0, lambda _: entry)
    before = _count_published("ledger")

    async def is_published():
        return await published(bus, ExpirationComplete)

    await wait_until(is_published)
    assert now() - entry.expires_at > timedelta(seconds=0.2)
    stopping.set()
    await publishing
    assert _count_published("ledger") - before == 1


def _count_published(source):
    return REGISTRY.get_sample_value("ticketing_expiration_published_total", {"source": source})


def _count_late(bound):
    return REGISTRY.get_sample_value("ticketing_expiration_late_seconds_bucket", {"le": bound})
