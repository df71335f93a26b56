"""Requests that wait for what an event may still bring, and what they cost."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from ticketing_common.messaging import arrivals as module
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import STREAM, open_bus
from ticketing_common.testing import wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.values.errors import Unavailable
from ticketing_common.values.ids import new_id

OLD = "0" * 24


class Store:
    """Finds what was put into it, and counts how often it is asked."""

    def __init__(self):
        self.found = None
        self.looks = 0

    async def look(self):
        self.looks += 1
        return self.found


@pytest.fixture
async def arrivals(bus):
    """For a service that has caught up."""
    await bus.js.add_consumer(STREAM.name, ConsumerConfig(durable_name="test", ack_policy=AckPolicy.EXPLICIT))
    return Arrivals(bus)


@asynccontextmanager
async def waiting(arrivals, count, user_id):
    """That many requests of a user wait for ids that nobody made."""
    stores = [Store() for _ in range(count)]
    requests = [
        asyncio.create_task(arrivals.find_or_wait(new_id(), store.look, user_id=user_id, timeout=30))
        for store in stores
    ]

    async def all_looked():
        return all(store.looks for store in stores)

    await wait_until(all_looked)
    yield
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)


async def test_waiting_request_is_answered_when_the_id_is_announced(arrivals):
    store, identity = Store(), new_id()
    request = asyncio.create_task(arrivals.find_or_wait(identity, store.look, timeout=60))
    await asyncio.sleep(0.1)
    store.found = "ticket"
    await arrivals.notify(new_id())
    assert not request.done()
    await arrivals.notify(identity)
    assert await asyncio.wait_for(request, 10) == "ticket"
    assert store.looks == 2


async def test_another_replica_announces_an_id(arrivals, bus, nats_url):
    store, identity = Store(), new_id()
    async with open_bus(nats_url, "test") as another, running_job(arrivals.run):
        await asyncio.sleep(0.2)  # the subscription has no acknowledgement
        request = asyncio.create_task(arrivals.find_or_wait(identity, store.look, timeout=60))
        await asyncio.sleep(0.1)
        store.found = "ticket"
        await Arrivals(another).notify(identity)
        assert await asyncio.wait_for(request, 10) == "ticket"


async def test_arrival_without_a_notice_is_found_when_the_time_is_over(arrivals):
    store = Store()
    request = asyncio.create_task(arrivals.find_or_wait(new_id(), store.look, timeout=0.3))
    await asyncio.sleep(0.1)
    store.found = "ticket"
    assert await request == "ticket"


async def test_made_up_young_id_costs_two_looks(arrivals):
    store = Store()
    assert await arrivals.find_or_wait(new_id(), store.look, timeout=0.5) is None
    assert store.looks == 2


@pytest.mark.parametrize("identity", [OLD, "f" * 24, "unknown"])
async def test_unknown_id_that_is_not_young_is_not_waited_for(arrivals, identity):
    assert await asyncio.wait_for(arrivals.find_or_wait(identity, Store().look, timeout=60), 10) is None


async def test_user_with_too_many_waiting_requests_is_refused_at_once(arrivals):
    async with waiting(arrivals, 4, "greedy"):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(
                arrivals.find_or_wait(new_id(), Store().look, user_id="greedy", timeout=60), 10
            )
        assert await arrivals.find_or_wait(new_id(), Store().look, user_id="another", timeout=0.1) is None
        present = Store()
        present.found = "ticket"
        assert await arrivals.find_or_wait(new_id(), present.look, user_id="greedy") == "ticket"
    assert await arrivals.find_or_wait(new_id(), Store().look, user_id="greedy", timeout=0.1) is None


async def test_requests_that_wait_are_bounded_in_all(arrivals, monkeypatch):
    monkeypatch.setattr(module, "_MAX_WAITING", 3)
    async with waiting(arrivals, 2, "one"), waiting(arrivals, 1, "two"):
        with pytest.raises(Unavailable) as refusal:
            await arrivals.find_or_wait(new_id(), Store().look, user_id="three", timeout=60)
    assert refusal.value.retry_after


async def test_thousand_requests_for_unknown_ids_ask_nats_twice(arrivals, bus):
    before, begun = bus._client.stats["out_msgs"], time.monotonic()
    await asyncio.gather(*(arrivals.find_or_wait(OLD, Store().look) for _ in range(1_000)))
    rounds = 1 + (time.monotonic() - begun) // 0.5
    assert bus._client.stats["out_msgs"] - before <= 2 * rounds


async def test_anonymous_requests_that_wait_leave_room_for_users(arrivals, monkeypatch):
    monkeypatch.setattr(module, "_MAX_WAITING_ANONYMOUS", 3)
    async with waiting(arrivals, 3, None):
        with pytest.raises(Unavailable):
            await asyncio.wait_for(arrivals.find_or_wait(new_id(), Store().look, timeout=60), 10)
        assert await arrivals.find_or_wait(new_id(), Store().look, user_id="user", timeout=0.1) is None
