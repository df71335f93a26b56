"""Orders expire within a second of their time whatever Redis does: the ledger is the truth."""

from contextlib import contextmanager

import httpx
import pytest
from redis import Redis
from redis_faults import full, refusing_writes

from ticketing_common.testing import wait_until


@contextmanager
def broken(fault, stores):
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


every_fault = pytest.mark.parametrize("fault", ["full", "read-only", "frozen", "killed"])


@every_fault
async def test_hundreds_of_orders_expire_in_time(own_market, stores, orders, fault):
    with own_market.worker():
        async with own_market.service():
            await own_market.worker_says(b"takes jobs")
            await own_market.place(*(before := [orders.created(8) for _ in range(150)]))
            with broken(fault, stores):
                await own_market.place(*(meanwhile := [orders.created(6) for _ in range(150)]))
                lateness = await own_market.lateness(*before, *meanwhile, seconds=30)
    assert 0 <= lateness[0] < 1
    assert lateness[-1] < 3  # a busy machine takes a while to publish hundreds at once


@every_fault
async def test_the_service_and_the_worker_are_not_ready(own_market, stores, fault):
    async def states(client):
        return (await client.get("/readyz")).json()

    with own_market.worker():
        async with (
            own_market.service() as service,
            httpx.AsyncClient(base_url=own_market.worker_url) as worker,
        ):
            await own_market.worker_says(b"takes jobs")

            async def are(redis):
                return all(
                    [
                        await states(c) == {"mongo": "up", "nats": "up", "redis": redis}
                        for c in (service, worker)
                    ]
                )

            await wait_until(lambda: are("up"))
            with broken(fault, stores):
                await wait_until(lambda: are("down"))
                assert (await worker.get("/readyz")).status_code == 503
            await wait_until(lambda: are("up"))


async def test_jobs_do_the_work_again_once_redis_takes_writes(own_market, stores, orders):
    redis = Redis.from_url(stores.settings.redis_url)
    with own_market.worker():
        async with own_market.service():
            await own_market.worker_says(b"takes jobs")
            with full(redis):
                await own_market.place(early := orders.created(0.5), late := orders.created(15))
                await own_market.lateness(early)
                assert not redis.exists(f"rq:job:{late.id}")

            async def has_its_job():
                return redis.exists(f"rq:job:{late.id}")

            await wait_until(has_its_job)
            await own_market.lateness(early, late, seconds=30)
            assert await own_market.worker_metric("ticketing_expiration_published_total", source="job") == 1
