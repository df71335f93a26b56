"""Requests that wait for the copy of an aggregate: how they are notified, limited, and how much they cost."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from ticketing_common.messaging import arrivals as arrivals_module
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import open_bus
from ticketing_common.testing import wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.values.errors import Unavailable
from ticketing_common.values.ids import new_id

OLD = "0" * 24


class Store:
    """Contains at most one copy, and counts how often it is read."""

    def __init__(self):
        self.copy = None
        self.reads = 0

    async def find(self):
        self.reads += 1
        return self.copy


@pytest.fixture
async def arrivals(bus):
    """The arrivals of a service that has consumed all events."""
    await bus.js.add_consumer("TICKETING", ConsumerConfig(durable_name="test", ack_policy=AckPolicy.EXPLICIT))
    return Arrivals(bus)


@asynccontextmanager
async def waiting_requests(arrivals, count, user_id):
    """This number of requests of a user, which wait for ids that do not exist."""
    stores = [Store() for _ in range(count)]
    requests = [
        asyncio.create_task(arrivals.find_or_wait(new_id(), store.find, user_id=user_id, timeout=30))
        for store in stores
    ]

    async def all_have_read():
        return all(store.reads for store in stores)

    await wait_until(all_have_read)
    yield
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)


async def test_waiting_request_is_answered_when_it_is_notified(arrivals):
    store, identity = Store(), new_id()
    request = asyncio.create_task(arrivals.find_or_wait(identity, store.find, timeout=60))
    await asyncio.sleep(0.1)
    store.copy = "ticket"
    await arrivals.notify(new_id())
    assert not request.done()
    await arrivals.notify(identity)
    assert await asyncio.wait_for(request, 10) == "ticket"
    assert store.reads == 2


async def test_waiting_request_is_notified_by_another_replica(arrivals, bus, nats_url):
    store, identity = Store(), new_id()
    async with open_bus(nats_url, "test") as other_bus, running_job(arrivals.run):
        await asyncio.sleep(0.2)  # the subscription has no acknowledgement
        request = asyncio.create_task(arrivals.find_or_wait(identity, store.find, timeout=60))
        await asyncio.sleep(0.1)
        store.copy = "ticket"
        await Arrivals(other_bus).notify(identity)
        assert await asyncio.wait_for(request, 10) == "ticket"


async def test_copy_that_arrived_without_a_notification_is_found_after_the_timeout(arrivals):
    store = Store()
    request = asyncio.create_task(arrivals.find_or_wait(new_id(), store.find, timeout=0.3))
    await asyncio.sleep(0.1)
    store.copy = "ticket"
    assert await request == "ticket"


async def test_young_id_that_does_not_exist_costs_two_reads(arrivals):
    store = Store()
    assert await arrivals.find_or_wait(new_id(), store.find, timeout=0.5) is None
    assert store.reads == 2


@pytest.mark.parametrize("identity", [OLD, "f" * 24, "unknown"])
async def test_request_for_an_unknown_id_that_is_not_young_does_not_wait(arrivals, identity):
    assert await asyncio.wait_for(arrivals.find_or_wait(identity, Store().find, timeout=60), 10) is None


async def test_user_with_too_many_waiting_requests_is_rejected_at_once(arrivals):
    async with waiting_requests(arrivals, 4, "greedy"):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(
                arrivals.find_or_wait(new_id(), Store().find, user_id="greedy", timeout=60), 10
            )
        assert await arrivals.find_or_wait(new_id(), Store().find, user_id="another", timeout=0.1) is None
        present = Store()
        present.copy = "ticket"
        assert await arrivals.find_or_wait(new_id(), present.find, user_id="greedy") == "ticket"
    assert await arrivals.find_or_wait(new_id(), Store().find, user_id="greedy", timeout=0.1) is None


async def test_number_of_waiting_requests_of_all_users_is_limited(arrivals, monkeypatch):
    monkeypatch.setattr(arrivals_module, "_MAX_WAITING", 3)
    async with waiting_requests(arrivals, 2, "one"), waiting_requests(arrivals, 1, "two"):
        with pytest.raises(Unavailable) as rejection:
            await arrivals.find_or_wait(new_id(), Store().find, user_id="three", timeout=60)
    assert rejection.value.retry_after


async def test_thousand_requests_for_unknown_ids_cause_two_requests_to_nats(arrivals, bus):
    before, started = bus._client.stats["out_msgs"], time.monotonic()
    await asyncio.gather(*(arrivals.find_or_wait(OLD, Store().find) for _ in range(1_000)))
    rounds = 1 + (time.monotonic() - started) // 0.5
    assert bus._client.stats["out_msgs"] - before <= 2 * rounds


async def test_limit_for_anonymous_requests_leaves_room_for_users(arrivals, monkeypatch):
    monkeypatch.setattr(arrivals_module, "_MAX_WAITING_ANONYMOUS", 3)
    async with waiting_requests(arrivals, 3, None):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(arrivals.find_or_wait(new_id(), Store().find, timeout=60), 10)
        assert await arrivals.find_or_wait(new_id(), Store().find, user_id="user", timeout=0.1) is None
