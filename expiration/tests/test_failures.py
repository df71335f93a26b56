"""Every expiry is told, once and on time, whatever is killed, restarted or lost."""

import asyncio
import signal
from datetime import timedelta

import pytest
from redis import Redis

from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now


async def test_redis_loses_everything_before_the_expiry(market, orders):
    with market.worker():
        async with market.service():
            await market.worker_says(b"takes jobs")
            placed = [orders.created(1 + n * 0.1) for n in range(15)]
            await market.place(*placed)
            Redis.from_url(market.settings.redis_url).flushall()
            lateness = await market.lateness(*placed)
    assert lateness[0] >= 0
    assert lateness[-1] < 1


async def test_a_burst_is_told_once_each_though_workers_are_stopped_and_killed_in_its_middle(
    market, overdue_burst
):
    async with market.service():
        with market.worker() as stopped:
            await wait_until(market.count_told)
            stopped.send_signal(signal.SIGTERM)
            assert stopped.wait(5) == 0
        told = await market.count_told()
        with market.worker() as killed:

            async def more_told():
                return await market.count_told() > told

            await wait_until(more_told)
            killed.kill()
            killed.wait()
        assert await market.count_told() < len(overdue_burst)
        with market.worker():
            await market.lateness(*overdue_burst)


async def test_an_expiry_while_no_worker_runs_is_told_when_one_does(market, orders, ledger):
    async with market.service():
        await market.place(*(placed := [orders.created(0.5) for _ in range(3)]))

        async def overdue():
            return len(await ledger.due(now(), 10)) == len(placed)

        await wait_until(overdue)
        with market.worker():
            await market.lateness(*placed)


async def test_every_store_is_restarted_before_the_expiry(own_market, stores, orders):
    with own_market.worker():
        async with own_market.service():
            await own_market.worker_says(b"takes jobs")
            placed = [orders.created(5 + n * 0.1) for n in range(10)]
            await own_market.place(*placed)
            for store in ("redis", "nats", "mongo"):
                stores.stop(store)
                stores.start(store)
            lateness = await own_market.lateness(*placed)
    assert lateness[0] >= 0
    assert lateness[-1] < 1


@pytest.mark.parametrize("store", ["redis", "nats", "mongo"])
async def test_a_store_that_is_down_at_the_expiry_is_waited_for(own_market, stores, orders, store):
    with own_market.worker():
        async with own_market.service():
            await own_market.worker_says(b"takes jobs")
            placed = [orders.created(1 + n * 0.1) for n in range(10)]
            await own_market.place(*placed)
            stores.stop(store)
            await asyncio.sleep(2)
            stores.start(store)
            back_at = now()
            lateness = await own_market.lateness(*placed)
    _, last_told_at = (await own_market.told())[-1]
    assert lateness[0] >= 0
    assert last_told_at - back_at < timedelta(seconds=2)


async def test_the_worker_starts_before_the_stores(own_market, stores, orders):
    async with own_market.service():
        await own_market.place(order := orders.created(3))
        stores.stop_all()
        with own_market.worker() as worker:
            await own_market.worker_says(b"waiting for redis")
            stores.start("mongo", "nats", "redis")
            await own_market.lateness(order)
            assert worker.poll() is None
