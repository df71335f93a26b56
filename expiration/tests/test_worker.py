"""The worker as the process it is: on time, never early, only what is to be told; its start and stop."""

import signal
import subprocess
import sys

import httpx
import pytest
from rq import Worker

from ticketing_common.testing import wait_until


async def test_it_tells_the_cluster_of_its_health_as_every_service_does(market):
    with market.worker():
        await market.worker_says(b"takes jobs")
        async with httpx.AsyncClient(base_url=market.worker_url) as worker:
            ready = await worker.get("/readyz")
            assert ready.json() == {"mongo": "up", "nats": "up", "redis": "up"}
            assert (await worker.get("/healthz")).status_code == 200
            assert "ticketing_dependency_up" in (await worker.get("/metrics")).text


async def test_an_expiry_is_told_within_a_second_and_never_early(market, orders):
    with market.worker():
        async with market.service():
            await market.worker_says(b"takes jobs")
            placed = [orders.created(1 + n * 0.07) for n in range(20)]
            await market.place(*placed)
            lateness = await market.lateness(*placed)
    assert lateness[0] >= 0
    assert lateness[-1] < 1


async def test_a_decided_order_is_not_told_of(market, orders):
    with market.worker():
        async with market.service():
            paid, dropped, left = placed = [orders.created(1.5) for _ in range(3)]
            await market.place(*placed)
            await market.bus.publish(orders.completed(paid))
            await market.bus.publish(orders.cancelled(dropped))
            await market.lateness(left)
            await market.place(later := orders.created(0.5))
            await market.lateness(left, later)


async def test_an_order_that_is_heard_of_late_is_told_at_once(market, orders):
    with market.worker():
        async with market.service():
            await market.worker_says(b"takes jobs")
            await market.place(order := orders.created(-60))
            assert 60 <= (await market.lateness(order))[0] < 61.5


async def test_a_thousand_orders_of_one_moment_and_nothing_of_them_is_left_in_redis(market, orders, schedule):
    with market.worker():
        async with market.service():
            moment = orders.created(7).expires_at
            placed = [orders.created().model_copy(update={"expires_at": moment}) for _ in range(1000)]
            await market.place(*placed)
            lateness = await market.lateness(*placed, seconds=20)

            async def nothing_left():
                return not schedule.connection.keys("rq:job:*") and not schedule.connection.keys("*exec*")

            await wait_until(nothing_left)
    assert lateness[0] >= 0
    assert lateness[-1] < 5
    assert schedule.queue.failed_job_registry.count == 0


async def test_two_workers_tell_each_once(market, orders):
    with market.worker(), market.worker():
        async with market.service():
            placed = [orders.created(1.5) for _ in range(50)]
            await market.place(*placed)
            assert (await market.lateness(*placed))[0] >= 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_it_stops_when_told_and_leaves_no_trace_in_redis(market, schedule, signum):
    async def is_there():
        return Worker.count(connection=schedule.connection)

    with market.worker() as worker:
        await wait_until(is_there)
        worker.send_signal(signum)
        assert worker.wait(5) == 0
    assert not await is_there()


async def test_it_stops_when_told_while_every_store_is_down(own_market, stores):
    stores.stop_all()
    with own_market.worker() as worker:
        await own_market.worker_says(b"waiting for redis")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(5) == 0


def test_a_setting_that_is_missing_is_named():
    started = subprocess.run(
        [sys.executable, "-P", "-m", "expiration.worker"], env={}, capture_output=True, text=True
    )
    assert started.returncode == 1
    for name in ("MONGO_URI", "NATS_URL", "REDIS_URL"):
        assert f"the environment variable {name} is not set" in started.stderr
