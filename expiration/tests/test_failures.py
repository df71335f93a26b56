"""Every order expires, once and on time, across crashes, restarts and losses."""

import asyncio
import signal
from datetime import timedelta

import pytest
from redis import Redis

from ticketing_common.testing import wait_until
from ticketing_common.values.clock import now


async def test_orders_expire_on_time_after_redis_lost_its_data(system, orders):
    with system.worker():
        async with system.service():
            await system.wait_for_log(b"the rq worker is running")
            events = [orders.created(1 + n * 0.1) for n in range(15)]
            await system.publish_orders(*events)
            Redis.from_url(system.settings.redis_url).flushall()
            delays = await system.wait_for_expiries(*events)
    assert delays[0] >= 0
    assert delays[-1] < 1


async def test_orders_expire_on_time_although_redis_contains_an_unreadable_job(system, orders, job_queue):
    job_queue.connection.zadd(job_queue.queue.scheduled_job_registry.key, {b"\xff": 0})
    with system.worker():
        async with system.service():
            await system.wait_for_log(b"the rq worker failed")
            await system.publish_orders(*(events := [orders.created(1 + n * 0.1) for n in range(5)]))
            delays = await system.wait_for_expiries(*events)
    assert delays[0] >= 0
    assert delays[-1] < 1


async def test_orders_expire_once_each_while_workers_are_killed_and_stopped(system, overdue_burst):
    async with system.service():
        with system.worker() as killed:
            await wait_until(system.count_published)
            killed.kill()
            killed.wait()
        assert await system.count_published() < len(overdue_burst)
        with system.worker() as stopped:
            await wait_until(lambda: system.worker_metric("ticketing_expiration_late_seconds_count"))
            stopped.send_signal(signal.SIGTERM)
            assert stopped.wait(5) == 0
        with system.worker():
            await system.wait_for_expiries(*overdue_burst)


async def test_orders_that_expired_without_a_worker_are_published_when_one_starts(system, orders, ledger):
    async with system.service():
        await system.publish_orders(*(events := [orders.created(0.5) for _ in range(3)]))

        async def overdue():
            return len(await ledger.find_due(now(), 10)) == len(events)

        await wait_until(overdue)
        with system.worker():
            await system.wait_for_expiries(*events)


@pytest.mark.nightly
async def test_orders_expire_on_time_after_a_restart_of_every_store(own_system, stores, orders):
    with own_system.worker():
        async with own_system.service():
            await own_system.wait_for_log(b"the rq worker is running")
            events = [orders.created(5 + n * 0.1) for n in range(10)]
            await own_system.publish_orders(*events)
            for store in ("redis", "nats", "mongo"):
                stores.stop(store)
                stores.start(store)
            delays = await own_system.wait_for_expiries(*events)
    assert delays[0] >= 0
    assert delays[-1] < 1


@pytest.mark.parametrize("store", ["redis", "nats", "mongo"])
async def test_orders_expire_soon_after_the_end_of_an_outage(own_system, stores, orders, store):
    with own_system.worker():
        async with own_system.service():
            await own_system.wait_for_log(b"the rq worker is running")
            events = [orders.created(1 + n * 0.1) for n in range(10)]
            await own_system.publish_orders(*events)
            stores.stop(store)
            await asyncio.sleep(2)
            stores.start(store)
            back_at = now()
            delays = await own_system.wait_for_expiries(*events)
    _, last_published_at = (await own_system.published_expiries())[-1]
    assert delays[0] >= 0
    assert last_published_at - back_at < timedelta(seconds=2)


async def test_worker_starts_before_its_stores(own_system, stores, orders):
    async with own_system.service():
        await own_system.publish_orders(order := orders.created(3))
        stores.stop_all()
        with own_system.worker() as worker:
            await own_system.wait_for_log(b"waiting for redis")
            stores.start("mongo", "nats", "redis")
            await own_system.wait_for_expiries(order)
            assert worker.poll() is None
