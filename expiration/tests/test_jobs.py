"""What a job publishes, and what it measures."""

import asyncio
from datetime import timedelta

from prometheus_client import REGISTRY

from expiration.jobs import Publisher
from expiration.models import begin
from ticketing_common.testing import published, wait_until
from ticketing_common.values.clock import now
from ticketing_common.values.events import ExpirationComplete


async def test_each_order_is_told_of_once_and_its_lateness_measured(ledger, bus):
    for seconds in (3, 10):
        entry = begin(f"order-{seconds}", now() - timedelta(seconds=seconds))
        await ledger.follow(entry.id, 0, lambda _, entry=entry: entry)
    before = [_late(bound) for bound in ("2.5", "5.0", "15.0")]
    publisher = Publisher(ledger, bus)
    await publisher.publish_due("job", lambda: False)
    await publisher.publish_due("job", lambda: False)
    assert {e.order_id for e in await published(bus, ExpirationComplete)} == {"order-3", "order-10"}
    told = [_late(bound) - b for bound, b in zip(("2.5", "5.0", "15.0"), before, strict=True)]
    assert told == [0, 1, 2]


async def test_what_is_due_just_now_is_left_to_its_job_and_what_is_overdue_is_published_without_one(
    ledger, bus
):
    stop = asyncio.Event()
    publishing = asyncio.create_task(Publisher(ledger, bus).publish_overdue(stop))
    entry = begin("order", now() + timedelta(seconds=0.5))
    await ledger.follow(entry.id, 0, lambda _: entry)
    before = _published("ledger")

    async def is_published():
        return await published(bus, ExpirationComplete)

    await wait_until(is_published)
    assert now() - entry.expires_at > timedelta(seconds=0.2)
    stop.set()
    await publishing
    assert _published("ledger") - before == 1


def _published(source):
    return REGISTRY.get_sample_value("ticketing_expiration_published_total", {"source": source})


def _late(bound):
    return REGISTRY.get_sample_value("ticketing_expiration_late_seconds_bucket", {"le": bound})
