"""A full stream rejects events: they stay in the outboxes, and are published once there is space."""

import contextlib
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from ticketing_common.messaging.bus import NATS_UNAVAILABLE, STREAM, open_bus
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage.outbox import Outbox
from ticketing_common.testing import published, wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.testing.servers import free_port, nats_server, running
from ticketing_common.values.events import TicketUpdated
from ticketing_common.values.ids import new_id

from .samples import read_sample
from .things import Thing, count_unpublished, open_things, retitle, wait_until_published

LIMIT = 100_000
"""Bytes."""
ENOUGH = 10 * LIMIT


def limited(server, max_file_store):
    """The server with this limit in bytes for all its streams together."""
    config = Path(server.command[server.command.index("--config") + 1])
    config.write_text(f"jetstream {{ sync_interval: always, max_file_store: {max_file_store} }}\n")
    return server


async def fill(bus):
    """Publishes until the stream rejects even a small event. Returns the number of events in it."""
    for size in (10_000, 1_000, 1):
        with contextlib.suppress(*NATS_UNAVAILABLE):
            while True:
                await bus.publish_raw("payment.created", b"x" * size)
    return (await bus.stream_info()).state.messages


async def write_while_full(database, bus):
    """Inserts ten documents and changes the first one. Returns them once the sweep has tried to publish."""
    relay = Relay(Outbox(), bus)
    documents = open_things(database, relay)
    await documents.ensure_indexes()
    things = [Thing(id=new_id()) for _ in range(10)]

    async def is_swept():
        labels = {"collection": "things"}
        return (REGISTRY.get_sample_value("ticketing_outbox_oldest_seconds", labels) or 0) > 2

    async with running_job(relay.run):
        for thing in things:
            await documents.insert(thing)
        await documents.change(retitle("changed"), id=things[0].id)
        await wait_until(is_swept, 20)
        assert await count_unpublished(database) == len(things)
    return things


async def check_all_published(database, bus, things):
    """Runs a relay, then checks that each event is in the stream, those of the first document in order."""
    relay = Relay(Outbox(), bus)
    open_things(database, relay)
    async with running_job(relay.run):
        await wait_until_published(database)
    ids = {thing.id for thing in things}
    events = [(e.id, e.version) for e in await published(bus, TicketUpdated) if e.id in ids]
    assert sorted(events) == sorted([*((thing.id, 0) for thing in things), (things[0].id, 1)])
    assert [version for identity, version in events if identity == things[0].id] == [0, 1]


@pytest.fixture
def own_nats(tmp_path):
    return nats_server(free_port(), tmp_path)


async def test_events_stay_in_the_outbox_while_the_stream_is_full(own_nats, database):
    with running(own_nats):
        async with open_bus(own_nats.url, "test", max_bytes=LIMIT) as bus:
            before = await fill(bus)
            things = await write_while_full(database, bus)
            info = await bus.stream_info()
            assert (info.state.messages, info.state.first_seq) == (before, 1), "an older event was deleted"
        async with open_bus(own_nats.url, "test", max_bytes=ENOUGH) as bus:
            await check_all_published(database, bus, things)


async def test_events_stay_in_the_outbox_while_the_server_is_full(own_nats, database):
    with running(limited(own_nats, LIMIT)):
        async with open_bus(own_nats.url, "test") as bus:
            await fill(bus)
            things = await write_while_full(database, bus)
    with running(limited(own_nats, ENOUGH)):
        async with open_bus(own_nats.url, "test") as bus:
            await check_all_published(database, bus, things)


async def test_existing_stream_is_used_if_its_server_has_less_space_than_the_new_limit(own_nats):
    """For example, the services of a release start before the volumes of NATS are enlarged."""
    with running(limited(own_nats, LIMIT)):
        async with open_bus(own_nats.url, "old") as bus:
            await bus.js.update_stream(replace(STREAM, subjects=["ticket.*"]))
        async with open_bus(own_nats.url, "new", max_bytes=ENOUGH) as bus:
            await bus.publish_raw("order.created", b"{}")
            assert (await bus.stream_info()).config.max_bytes == -1


async def test_size_and_limit_of_the_stream_are_measured(own_nats):
    with running(own_nats):
        async with open_bus(own_nats.url, "test", max_bytes=LIMIT) as bus:
            await bus.publish_raw("ticket.created", b"x" * 10_000)
            await bus.measure_stream()
            assert 10_000 < read_sample("ticketing_stream_bytes") < 11_000
            assert read_sample("ticketing_stream_limit_bytes") == LIMIT
        async with open_bus(own_nats.url, "test") as bus:
            await bus.measure_stream()
            assert read_sample("ticketing_stream_limit_bytes") == 0


async def test_limits_that_an_older_version_overwrote_are_restored(own_nats):
    with running(own_nats):
        async with open_bus(own_nats.url, "new", max_bytes=LIMIT) as bus:
            month = timedelta(days=30).total_seconds()
            await bus.js.update_stream(replace(STREAM, max_bytes=-1, max_age=month))
            await bus.measure_stream()
            config = (await bus.stream_info()).config
            assert (config.max_bytes, config.max_age) == (LIMIT, STREAM.max_age)
