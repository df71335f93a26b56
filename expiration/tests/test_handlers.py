"""The event handlers: in order, duplicate, late, early, and without Redis."""

import asyncio
from itertools import permutations

import pytest
from redis import RedisError

from expiration.handlers import HANDLERS, Expirations, on_order_created, on_order_decided
from expiration.job_changes import JobChanges
from expiration.job_queue import JobQueue
from ticketing_common.testing.servers import free_port
from ticketing_common.values.aggregate import EarlierEventMissing


async def handle(expirations, *events):
    """Handle the events, then write their jobs to Redis."""
    for event in events:
        await HANDLERS[type(event)](event, expirations)
    await expirations.job_changes.write()


@pytest.fixture(params=["cancelled", "completed"])
def decide(request, orders):
    """Creates the event of an order that is cancelled or completed."""
    return getattr(orders, request.param)


async def test_new_order_has_a_pending_entry_and_a_job(orders, expirations, job_queue):
    order = orders.created()
    await handle(expirations, order)
    entry = await expirations.ledger.get(order.id)
    assert (entry.version, entry.expires_at, entry.resolved_at) == (0, order.expires_at, None)
    assert not job_queue.find_missing([order.id])


async def test_decided_order_has_a_resolved_entry_and_no_job(orders, expirations, job_queue, decide):
    order = orders.created()
    await handle(expirations, order, decide(order))
    entry = await expirations.ledger.get(order.id)
    assert entry.version == 1
    assert entry.resolved_at
    assert job_queue.find_missing([order.id])


async def test_duplicate_events_change_nothing(orders, expirations, job_queue, decide):
    order = orders.created()
    await handle(expirations, order, order)
    assert job_queue.queue.scheduled_job_registry.count == 1
    await handle(expirations, decide(order))
    before = await expirations.ledger.get(order.id)
    await handle(expirations, decide(order))
    assert await expirations.ledger.get(order.id) == before


async def test_late_order_created_does_not_reopen_a_resolved_entry(orders, expirations, job_queue, decide):
    order = orders.created()
    await handle(expirations, order, decide(order), order)
    assert (await expirations.ledger.get(order.id)).resolved_at
    assert job_queue.find_missing([order.id])


async def test_decision_before_its_order_is_rejected(orders, expirations, decide):
    order = orders.created()
    with pytest.raises(EarlierEventMissing):
        await handle(expirations, decide(order))
    assert await expirations.ledger.get(order.id) is None


async def test_entry_is_resolved_in_every_order_of_arrival(orders, expirations, decide):
    for arrival in permutations(range(3)):
        order = orders.created()
        events = [order, decide(order), order]
        waiting = [events[n] for n in arrival]
        while waiting:
            event = waiting.pop(0)
            try:
                await handle(expirations, event)
            except EarlierEventMissing:
                waiting.append(event)
        entry = await expirations.ledger.get(order.id)
        assert (entry.version, bool(entry.resolved_at)) == (1, True)


async def test_ledger_is_updated_without_redis(orders, ledger, decide):
    expirations = Expirations(ledger, JobChanges(JobQueue(f"redis://127.0.0.1:{free_port()}/0")))
    first, second = orders.created(), orders.created()
    with pytest.raises(RedisError):
        await handle(expirations, first, second, decide(second))
    assert (await ledger.get(first.id)).resolved_at is None
    assert (await ledger.get(second.id)).resolved_at


async def test_no_event_waits_for_a_frozen_redis(orders, ledger, stores, decide):
    """With a thread and a second for each event, a burst of orders would take minutes."""
    job_changes = JobChanges(JobQueue(stores.settings.redis_url))
    expirations = Expirations(ledger, job_changes)
    created = [orders.created() for _ in range(50)]
    with stores.frozen("redis"):
        writing = asyncio.create_task(job_changes.write())
        async with asyncio.timeout(5):
            for order in created:
                await on_order_created(order, expirations)
                await on_order_decided(decide(order), expirations)
        await writing


async def test_job_changes_that_redis_rejected_are_dropped(orders, ledger, job_queue):
    job_changes = JobChanges(JobQueue(f"redis://127.0.0.1:{free_port()}/0"))
    await on_order_created(orders.created(), Expirations(ledger, job_changes))
    with pytest.raises(RedisError):
        await job_changes.write()
    await job_changes.write()  # nothing is left to write


async def test_decision_after_the_published_expiry_is_applied(orders, expirations, decide):
    order = orders.created(-1)
    await handle(expirations, order)
    await expirations.ledger.mark_published([order.id], order.expires_at)
    await handle(expirations, decide(order))
    entry = await expirations.ledger.get(order.id)
    assert (entry.version, entry.resolved_at) == (1, order.expires_at)
