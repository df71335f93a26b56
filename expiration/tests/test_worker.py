"""The worker process: expiries on time and never early, its start and its stop."""

import signal
import subprocess
import sys

import httpx
import pytest
from rq import Worker

from ticketing_common.testing import wait_until


async def test_worker_has_health_checks_and_metrics(system):
    with system.worker():
        await system.wait_for_log(b"the rq worker is running")
        async with httpx.AsyncClient(base_url=system.worker_url) as worker:
            ready = await worker.get("/readyz")
            assert ready.json() == {"mongo": "up", "nats": "up", "redis": "up"}
            assert (await worker.get("/healthz")).status_code == 200
            assert "ticketing_dependency_up" in (await worker.get("/metrics")).text


async def test_expiry_is_published_within_a_second_and_never_early(system, orders):
    with system.worker():
        async with system.service():
            await system.wait_for_log(b"the rq worker is running")
            events = [orders.created(1 + n * 0.07) for n in range(20)]
            await system.publish_orders(*events)
            delays = await system.wait_for_expiries(*events)
    assert delays[0] >= 0
    assert delays[-1] < 1


async def test_expiry_of_a_decided_order_is_not_published(system, orders):
    with system.worker():
        async with system.service():
            paid, dropped, left = events = [orders.created(1.5) for _ in range(3)]
            await system.publish_orders(*events)
            await system.bus.publish(orders.completed(paid))
            await system.bus.publish(orders.cancelled(dropped))
            await system.wait_for_expiries(left)
            await system.publish_orders(later := orders.created(0.5))
            await system.wait_for_expiries(left, later)


async def test_expiry_of_an_overdue_order_is_published_immediately(system, orders):
    with system.worker():
        async with system.service():
            await system.wait_for_log(b"the rq worker is running")
            await system.publish_orders(order := orders.created(-60))
            assert 60 <= (await system.wait_for_expiries(order))[0] < 61.5


async def test_thousand_orders_expire_at_the_same_time_and_leave_nothing_in_redis(system, orders, job_queue):
    with system.worker():
        async with system.service():
            moment = orders.created(7).expires_at
            events = [orders.created().model_copy(update={"expires_at": moment}) for _ in range(1000)]
            await system.publish_orders(*events)
            delays = await system.wait_for_expiries(*events, seconds=20)

            async def nothing_left():
                return not job_queue.connection.keys("rq:job:*") and not job_queue.connection.keys("*exec*")

            await wait_until(nothing_left)
    assert delays[0] >= 0
    assert delays[-1] < 5
    assert job_queue.queue.failed_job_registry.count == 0


async def test_two_workers_publish_each_expiry_once(system, orders):
    with system.worker(), system.worker():
        async with system.service():
            events = [orders.created(1.5) for _ in range(50)]
            await system.publish_orders(*events)
            assert (await system.wait_for_expiries(*events))[0] >= 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_signal_stops_the_worker_and_removes_it_from_redis(system, job_queue, signum):
    async def is_registered():
        return Worker.count(connection=job_queue.connection)

    with system.worker() as worker:
        await wait_until(is_registered)
        worker.send_signal(signum)
        assert worker.wait(5) == 0
    assert not await is_registered()


async def test_signal_stops_the_worker_while_every_store_is_down(own_system, stores):
    stores.stop_all()
    with own_system.worker() as worker:
        await own_system.wait_for_log(b"waiting for redis")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(5) == 0


def test_worker_names_missing_settings():
    started = subprocess.run(
        [sys.executable, "-P", "-m", "expiration.worker"], env={}, capture_output=True, text=True
    )
    assert started.returncode == 1
    for name in ("MONGO_URI", "NATS_URL", "REDIS_URL"):
        assert f"the environment variable {name} is not set" in started.stderr
