"""The relay and its sweep: order, throughput, replicas and outages, on a real MongoDB and NATS."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from prometheus_client import REGISTRY

from ticketing_common.messaging import relay as relay_module
from ticketing_common.messaging.bus import Bus, open_bus
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage import documents as documents_module
from ticketing_common.storage import outbox
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import connect
from ticketing_common.storage.outbox import MAX_QUEUED_EVENTS, Outbox, outbox_entry
from ticketing_common.testing import published, wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.testing.servers import free_port, mongod, nats_server, running
from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.clock import now
from ticketing_common.values.errors import Unavailable
from ticketing_common.values.events import TicketUpdated
from ticketing_common.values.ids import new_id

LONG_AGO = timedelta(minutes=5)


@dataclass(frozen=True, kw_only=True)
class Thing(Aggregate):
    title: str = ""


def announce(thing, version=None):
    version = thing.version if version is None else version
    return TicketUpdated(id=thing.id, version=version, title="", price=Decimal(1), user_id="u")


def things(database, relay):
    return Documents(database, "things", Thing, outbox=relay.outbox, event_of=announce)


async def leave_behind(database, count, versions=1):
    """Documents whose events a crashed process never published."""
    documents = []
    for _ in range(count):
        thing = Thing(id=new_id(), version=versions - 1)
        entries = [
            outbox_entry(announce(thing, version)) | {"at": now() - LONG_AGO} for version in range(versions)
        ]
        documents.append({"_id": thing.id, "version": thing.version, "title": "", "outbox": entries})
    await things(database, Relay(Outbox(), Bus("", "nobody"))).ensure_indexes()
    await database["things"].insert_many(documents)


async def count_unpublished(database):
    return await database["things"].count_documents({"outbox.0": {"$exists": True}})


async def all_published(database, seconds=20.0):
    async def none_left():
        return not await count_unpublished(database)

    await wait_until(none_left, seconds)


def swept():
    return REGISTRY.get_sample_value("ticketing_outbox_swept_total")


async def versions_in_stream(bus):
    """For each aggregate its versions in the order of the stream, without repetitions."""
    found = {}
    for event in await published(bus, TicketUpdated):
        seen = found.setdefault(event.id, [])
        if event.version not in seen:
            seen.append(event.version)
    return found


async def test_sweep_does_not_pause_while_full_batches_are_left(database, bus, monkeypatch):
    monkeypatch.setattr(relay_module, "_BATCH", 10)
    monkeypatch.setattr(relay_module, "_SWEEP_EVERY", 3.0)
    await leave_behind(database, 100)  # with a pause before each batch that would be 30 s
    relay = Relay(Outbox(), bus)
    things(database, relay)
    async with running_job(relay.run):
        await all_published(database, 25)
    assert len(await published(bus, TicketUpdated)) == 100


async def test_replicas_share_a_backlog(database, bus, nats_url, monkeypatch):
    monkeypatch.setattr(relay_module, "_BATCH", 50)
    monkeypatch.setattr(relay_module, "_LEASE", timedelta(seconds=60))
    await leave_behind(database, 600)
    before = swept()
    async with AsyncExitStack() as replicas:
        for _ in range(3):
            relay = Relay(Outbox(), await replicas.enter_async_context(open_bus(nats_url, "replica")))
            things(database, relay)
            await replicas.enter_async_context(running_job(relay.run))
        await all_published(database)
    assert swept() - before == 600  # each event by one of them


async def test_backlog_of_a_killed_replica_is_published_once_its_lease_ends(database, bus, monkeypatch):
    monkeypatch.setattr(relay_module, "_LEASE", timedelta(seconds=2))
    await leave_behind(database, 5)
    collection = database["things"]
    ids = [document["_id"] for document in await collection.find({}).to_list(5)]
    killed = Relay(Outbox(), Bus("", "killed"))
    assert len(await killed._lease(collection, ids, now())) == 5
    assert await Relay(Outbox(), Bus("", "another"))._lease(collection, ids, now()) == []
    relay = Relay(Outbox(), bus)
    things(database, relay)
    async with running_job(relay.run):
        await all_published(database)
    assert await collection.count_documents({"outbox_lease": {"$exists": True}}) == 0


async def test_new_event_does_not_overtake_one_that_waits_in_the_same_document(database, bus):
    crashed = things(database, Relay(Outbox(), Bus("", "crashed")))
    thing = Thing(id=new_id())
    await crashed.insert(thing)
    await crashed.change(lambda t: t.evolve(title="a"), id=thing.id)
    relay = Relay(Outbox(), bus)
    documents = things(database, relay)
    async with running_job(relay.run):
        await documents.change(lambda t: t.evolve(title="b"), id=thing.id)
        await all_published(database)
    assert await versions_in_stream(bus) == {thing.id: [0, 1, 2]}


async def test_events_of_each_aggregate_stay_in_order_when_nats_restarts_during_the_drain(
    database, tmp_path, monkeypatch
):
    monkeypatch.setattr(relay_module, "_BATCH", 20)
    await leave_behind(database, 200, versions=4)
    server = nats_server(free_port(), tmp_path)

    async def half_way():
        return await count_unpublished(database) < 120

    async with AsyncExitStack() as replicas:
        with running(server) as process:
            for _ in range(2):
                relay = Relay(Outbox(), await replicas.enter_async_context(open_bus(server.url, "replica")))
                things(database, relay)
                await replicas.enter_async_context(running_job(relay.run))
            await wait_until(half_way, 20)
            process.kill()
            process.wait()
        with running(server):
            await all_published(database, 30)
            async with open_bus(server.url, "test") as bus:
                found = await versions_in_stream(bus)
            assert len(found) == 200
            assert all(versions == [0, 1, 2, 3] for versions in found.values())


async def test_publishing_continues_after_an_outage_of_mongodb_during_the_removal(bus, tmp_path):
    server = mongod(free_port(), tmp_path)
    with running(server) as process:
        database = connect(f"{server.url}/things")
        documents = things(database, relay := Relay(Outbox(), bus))
        await documents.ensure_indexes()
        thing = Thing(id=new_id())
        await documents.insert(thing)  # queued, as the relay does not run yet
        process.kill()
        process.wait()
    async with running_job(relay.run):
        await wait_until(lambda: published(bus, TicketUpdated))
        await asyncio.sleep(3)  # longer than the driver waits for a server
        with running(server):
            await all_published(database)
            await documents.change(lambda t: t.evolve(title="later"), id=thing.id)
            await all_published(database)
            assert await versions_in_stream(bus) == {thing.id: [0, 1]}
    database.client.close()


async def test_documents_beyond_the_queue_are_left_to_the_sweep(database, bus, monkeypatch):
    monkeypatch.setattr(outbox, "_MAX_QUEUED_DOCUMENTS", 2)
    relay = Relay(Outbox(), bus)
    documents = things(database, relay)
    for _ in range(5):
        await documents.insert(Thing(id=new_id()))
    async with running_job(relay.run):
        await all_published(database)
    assert len(await published(bus, TicketUpdated)) == 5


async def test_document_with_many_events_is_left_to_the_sweep_and_published_in_order(
    database, bus, monkeypatch
):
    monkeypatch.setattr(relay_module, "_MAX_EVENTS_OF_DOCUMENT", 5)
    relay = Relay(Outbox(), bus)
    documents = things(database, relay)
    await documents.insert(thing := Thing(id=new_id()))
    for n in range(20):
        await documents.change(lambda t, n=n: t.evolve(title=str(n)), id=thing.id)
    assert max(len(pending.entries) for pending in relay.outbox.queue._queue) == MAX_QUEUED_EVENTS
    async with running_job(relay.run):
        await all_published(database)
    assert await versions_in_stream(bus) == {thing.id: list(range(21))}


async def test_change_is_refused_while_too_many_events_of_the_document_wait(database, bus, monkeypatch):
    monkeypatch.setattr(documents_module, "MAX_OUTBOX_EVENTS", 3)
    monkeypatch.setattr(documents_module, "MAX_QUEUED_EVENTS", 3)
    attempts = []

    def retitle(thing):
        attempts.append(thing)
        return thing.evolve(title="one too many")

    documents = things(database, Relay(Outbox(), Bus("", "cut off")))
    await documents.insert(thing := Thing(id=new_id()))
    for n in range(2):
        await documents.change(lambda t, n=n: t.evolve(title=str(n)), id=thing.id)
    with pytest.raises(Unavailable):
        await documents.change(retitle, id=thing.id)
    assert len(attempts) == 1
    relay = Relay(Outbox(), bus)
    documents = things(database, relay)
    async with running_job(relay.run):
        await all_published(database)
        await documents.change(lambda t: t.evolve(title="fits again"), id=thing.id)
        await all_published(database)
    assert await versions_in_stream(bus) == {thing.id: [0, 1, 2, 3]}
