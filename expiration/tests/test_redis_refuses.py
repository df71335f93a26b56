"""Orders expire on time while Redis is full, read-only, frozen or down."""

from contextlib import contextmanager

import httpx
import pytest
from redis import Redis
from redis_faults import full, refusing_writes

from ticketing_common.testing import wait_until


@contextmanager
def redis_fault(fault, stores):
    redis = Redis.from_url(stores.settings.redis_url)
    match fault:
        case "full":
            with full(redis):
                yield
        case "read-only":
            with refusing_writes(redis):
                yield
        case "frozen":
            with stores.frozen("redis"):
                yield
        case "killed":
            stores.stop("redis")
            try:
                yield
            finally:
                stores.start("redis")


@pytest.mark.parametrize(
    "fault",
    ["full", *(pytest.param(each, marks=pytest.mark.nightly) for each in ("read-only", "frozen", "killed"))],
)
async def test_hundreds_of_orders_expire_on_time(own_system, stores, orders, fault):
    with own_system.worker():
        async with own_system.service():
            await own_system.wait_for_log(b"the rq worker is running")
            await own_system.publish_orders(*(before := [orders.created(8) for _ in range(150)]))
            with redis_fault(fault, stores):
                await own_system.publish_orders(*(meanwhile := [orders.created(6) for _ in range(150)]))
                delays = await own_system.wait_for_expiries(*before, *meanwhile, seconds=30)
    assert 0 <= delays[0] < 1
    assert delays[-1] < 3  # a busy machine takes a while to publish hundreds at once


@pytest.mark.parametrize("fault", ["full", "read-only", "frozen", "killed"])
async def test_service_and_worker_are_not_ready(own_system, stores, fault):
    async def states(client):
        return (await client.get("/readyz")).json()

    with own_system.worker():
        async with (
            own_system.service() as service,
            httpx.AsyncClient(base_url=own_system.worker_url) as worker,
        ):
            await own_system.wait_for_log(b"the rq worker is running")

            async def are(redis):
                return all(
                    [
                        await states(c) == {"mongo": "up", "nats": "up", "redis": redis}
                        for c in (service, worker)
                    ]
                )

            await wait_until(lambda: are("up"))
            with redis_fault(fault, stores):
                await wait_until(lambda: are("down"))
                assert (await worker.get("/readyz")).status_code == 503
            await wait_until(lambda: are("up"))


@pytest.mark.nightly
async def test_jobs_publish_expiries_again_after_redis_was_full(own_system, stores, orders):
    redis = Redis.from_url(stores.settings.redis_url)
    with own_system.worker():
        async with own_system.service():
            await own_system.wait_for_log(b"the rq worker is running")
            with full(redis):
                await own_system.publish_orders(early := orders.created(0.5), late := orders.created(15))
                await own_system.wait_for_expiries(early)
                assert not redis.exists(f"rq:job:{late.id}")

            async def has_job():
                return redis.exists(f"rq:job:{late.id}")

            await wait_until(has_job)
            await own_system.wait_for_expiries(early, late, seconds=30)
            assert await own_system.worker_metric("ticketing_expiration_published_total", source="job") == 1
