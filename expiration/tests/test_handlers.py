"""What the expiration service makes of the orders' events: happy, twice, stale, too early, without Redis."""

import asyncio
from itertools import permutations

import pytest
from redis import RedisError

from expiration.handlers import HANDLERS, Expirations, on_order_created, on_order_decided
from expiration.pending import PendingJobs
from expiration.schedule import Schedule
from ticketing_common.testing.servers import free_port
from ticketing_common.values.aggregate import EarlierEventMissing


async def handle(expirations, *events):
    """Handle the events, then write their jobs to Redis."""
    for event in events:
        await HANDLERS[type(event)](event, expirations)
    await expirations.jobs.write()


@pytest.fixture(params=["cancelled", "completed"])
def decide(request, orders):
    """Either way in which an order is decided."""
    return getattr(orders, request.param)


async def test_a_new_order_is_in_the_ledger_and_has_a_job(orders, expirations, schedule):
    order = orders.created()
    await handle(expirations, order)
    entry = await expirations.ledger.get(order.id)
    assert (entry.version, entry.expires_at, entry.settled_at) == (0, order.expires_at, None)
    assert not schedule.without_job([order.id])


async def test_a_decided_order_is_settled_and_its_job_taken_back(orders, expirations, schedule, decide):
    order = orders.created()
    await handle(expirations, order, decide(order))
    entry = await expirations.ledger.get(order.id)
    assert entry.version == 1
    assert entry.settled_at
    assert schedule.without_job([order.id])


async def test_an_event_that_comes_twice_changes_nothing(orders, expirations, schedule, decide):
    order = orders.created()
    await handle(expirations, order, order)
    assert schedule.queue.scheduled_job_registry.count == 1
    await handle(expirations, decide(order))
    before = await expirations.ledger.get(order.id)
    await handle(expirations, decide(order))
    assert await expirations.ledger.get(order.id) == before


async def test_a_stale_order_created_does_not_revive_a_decided_order(orders, expirations, schedule, decide):
    order = orders.created()
    await handle(expirations, order, decide(order), order)
    assert (await expirations.ledger.get(order.id)).settled_at
    assert schedule.without_job([order.id])


async def test_a_decision_before_its_order_is_put_back(orders, expirations, decide):
    order = orders.created()
    with pytest.raises(EarlierEventMissing):
        await handle(expirations, decide(order))
    assert await expirations.ledger.get(order.id) is None


async def test_every_order_of_arrival_ends_the_same(orders, expirations, decide):
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
        assert (entry.version, bool(entry.settled_at)) == (1, True)


async def test_without_redis_the_ledger_has_it_all(orders, ledger, decide):
    expirations = Expirations(ledger, PendingJobs(Schedule(f"redis://127.0.0.1:{free_port()}/0")))
    first, second = orders.created(), orders.created()
    with pytest.raises(RedisError):
        await handle(expirations, first, second, decide(second))
    assert (await ledger.get(first.id)).settled_at is None
    assert (await ledger.get(second.id)).settled_at


async def test_no_event_waits_for_a_redis_that_is_frozen(orders, ledger, stores, decide):
    """One thread and one second of waiting for each event would let a rush of orders queue up for minutes."""
    jobs = PendingJobs(Schedule(stores.settings.redis_url))
    expirations = Expirations(ledger, jobs)
    placed = [orders.created() for _ in range(50)]
    with stores.frozen("redis"):
        writing = asyncio.create_task(jobs.write())
        async with asyncio.timeout(5):
            for order in placed:
                await on_order_created(order, expirations)
                await on_order_decided(decide(order), expirations)
        await writing


async def test_changes_made_while_redis_was_down_do_not_pile_up(orders, ledger, schedule):
    jobs = PendingJobs(Schedule(f"redis://127.0.0.1:{free_port()}/0"))
    await on_order_created(orders.created(), Expirations(ledger, jobs))
    with pytest.raises(RedisError):
        await jobs.write()
    await jobs.write()  # nothing is left to write


async def test_a_decision_after_its_expiry_was_told_is_followed(orders, expirations, decide):
    order = orders.created(-1)
    await handle(expirations, order)
    await expirations.ledger.mark_told([order.id], order.expires_at)
    await handle(expirations, decide(order))
    entry = await expirations.ledger.get(order.id)
    assert (entry.version, entry.settled_at) == (1, order.expires_at)
