"""A full stream refuses events: they wait in the outboxes, and are published once there is room."""

import contextlib
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from ticketing_common.messaging.bus import NATS_UNAVAILABLE, STREAM, open_bus
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.outbox import Outbox
from ticketing_common.testing import published, wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.testing.servers import free_port, nats_server, running
from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.events import TicketUpdated
from ticketing_common.values.ids import new_id

LIMIT = 100_000
ROOMY = 10 * LIMIT


@dataclass(frozen=True, kw_only=True)
class Thing(Aggregate):
    title: str = ""


def things(database, relay):
    def announce(thing):
        return TicketUpdated(id=thing.id, version=thing.version, title="", price=Decimal(1), user_id="u")

    return Documents(database, "things", Thing, outbox=relay.outbox, event_of=announce)


def limited(server, max_file_store):
    """The server with so much room for all its streams."""
    config = Path(server.command[server.command.index("--config") + 1])
    config.write_text(f"jetstream {{ sync_interval: always, max_file_store: {max_file_store} }}\n")
    return server


async def fill(bus):
    """Publish until the stream has no room even for a small event. Returns the number of events in it."""
    for size in (10_000, 1_000, 1):
        with contextlib.suppress(*NATS_UNAVAILABLE):
            while True:
                await bus.publish_raw("payment.created", b"x" * size)
    return (await bus.stream_info()).state.messages


async def waiting(database):
    return await database["things"].count_documents({"outbox.0": {"$exists": True}})


async def write_while_it_is_full(database, bus):
    """Ten new documents and one that changes; the relay goes on, and each event waits."""
    relay = Relay(Outbox(), bus)
    repository = things(database, relay)
    await repository.ensure_indexes()
    stored = [Thing(id=new_id(), version=0) for _ in range(10)]
    async with running_job(relay.run):
        for thing in stored:
            await repository.insert(thing)
        await repository.change(lambda thing: replace(thing, title="changed"), id=stored[0].id)

        async def swept():
            oldest = REGISTRY.get_sample_value("ticketing_outbox_oldest_seconds", {"collection": "things"})
            return oldest is not None and oldest > 2

        await wait_until(swept, 20)
        assert await waiting(database) == len(stored)
    return stored


async def until_published(database, bus, stored):
    """Run a relay until nothing waits: each event is in the stream, those of one document in order."""
    relay = Relay(Outbox(), bus)
    things(database, relay)

    async def nothing_waits():
        return not await waiting(database)

    async with running_job(relay.run):
        await wait_until(nothing_waits, 20)
    of_things = {thing.id for thing in stored}
    events = [(e.id, e.version) for e in await published(bus, TicketUpdated) if e.id in of_things]
    assert sorted(events) == sorted([*((thing.id, 0) for thing in stored), (stored[0].id, 1)])
    assert [version for identity, version in events if identity == stored[0].id] == [0, 1]


@pytest.fixture
def own_nats(tmp_path):
    return nats_server(free_port(), tmp_path)


async def test_events_wait_in_the_outbox_while_the_stream_is_full(own_nats, database):
    with running(own_nats):
        async with open_bus(own_nats.url, "test", max_bytes=LIMIT) as bus:
            before = await fill(bus)
            stored = await write_while_it_is_full(database, bus)
            info = await bus.stream_info()
            assert (info.state.messages, info.state.first_seq) == (before, 1), "an older event was deleted"
        async with open_bus(own_nats.url, "test", max_bytes=ROOMY) as bus:
            await until_published(database, bus, stored)


async def test_events_wait_in_the_outbox_while_the_server_is_full(own_nats, database):
    with running(limited(own_nats, LIMIT)):
        async with open_bus(own_nats.url, "test") as bus:
            await fill(bus)
            stored = await write_while_it_is_full(database, bus)
    with running(limited(own_nats, ROOMY)):
        async with open_bus(own_nats.url, "test") as bus:
            await until_published(database, bus, stored)


async def test_a_stream_that_exists_is_used_when_its_server_has_less_room_than_the_new_limit(own_nats):
    """As when the services of a release start before the volumes of NATS are enlarged."""
    with running(limited(own_nats, LIMIT)):
        async with open_bus(own_nats.url, "old") as bus:
            await bus.js.update_stream(replace(STREAM, subjects=["ticket.*"]))
        async with open_bus(own_nats.url, "new", max_bytes=ROOMY) as bus:
            await bus.publish_raw("order.created", b"{}")
            assert (await bus.stream_info()).config.max_bytes == -1


async def test_the_size_of_the_stream_and_its_limit_are_measured(own_nats):
    with running(own_nats):
        async with open_bus(own_nats.url, "test", max_bytes=LIMIT) as bus:
            await bus.publish_raw("ticket.created", b"x" * 10_000)
            await bus.measure_stream()
            assert 10_000 < REGISTRY.get_sample_value("ticketing_stream_bytes") < 11_000
            assert REGISTRY.get_sample_value("ticketing_stream_limit_bytes") == LIMIT
        async with open_bus(own_nats.url, "test") as bus:
            await bus.measure_stream()
            assert REGISTRY.get_sample_value("ticketing_stream_limit_bytes") == 0


async def test_limits_that_an_older_version_writes_back_are_restored(own_nats):
    with running(own_nats):
        async with open_bus(own_nats.url, "new", max_bytes=LIMIT) as bus:
            month = timedelta(days=30).total_seconds()
            await bus.js.update_stream(replace(STREAM, max_bytes=-1, max_age=month))
            await bus.measure_stream()
            config = (await bus.stream_info()).config
            assert (config.max_bytes, config.max_age) == (LIMIT, STREAM.max_age)
