"""The relay on a real MongoDB and NATS: events are published in order, and none is lost."""

import asyncio

import pytest

from ticketing_common.messaging import relay as relay_module
from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage import documents as documents_module
from ticketing_common.storage import outbox as outbox_module
from ticketing_common.storage.mongo import connect
from ticketing_common.storage.outbox import MAX_QUEUED_EVENTS, Outbox
from ticketing_common.testing import published, wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.testing.servers import free_port, mongod, running
from ticketing_common.values.errors import Unavailable
from ticketing_common.values.events import TicketUpdated
from ticketing_common.values.ids import new_id

from .things import Thing, open_things, retitle, versions_in_stream, wait_until_published


async def test_events_are_published_in_order_and_removed_from_the_outbox(database, bus):
    relay = Relay(Outbox(), bus)
    documents = open_things(database, relay)
    thing = Thing(id=new_id(), title="a")

    async def is_outbox_empty():
        return not (await database["things"].find_one({"_id": thing.id}))["outbox"]

    async with running_job(relay.run):
        await documents.insert(thing)
        await documents.change(retitle("b"), id=thing.id)
        await documents.change(retitle("b"), id=thing.id)  # changes nothing
        await wait_until(is_outbox_empty)
    assert [(e.version, e.title) for e in await published(bus, TicketUpdated)] == [(0, "a"), (1, "b")]


async def test_new_event_does_not_overtake_an_unpublished_one_of_the_same_document(database, bus):
    crashed = open_things(database, Relay(Outbox(), Bus("", "crashed")))
    thing = Thing(id=new_id())
    await crashed.insert(thing)
    await crashed.change(retitle("a"), id=thing.id)
    relay = Relay(Outbox(), bus)
    documents = open_things(database, relay)
    async with running_job(relay.run):
        await documents.change(retitle("b"), id=thing.id)
        await wait_until_published(database)
    assert await versions_in_stream(bus) == {thing.id: [0, 1, 2]}


async def test_publishing_continues_after_mongodb_was_down_during_the_removal(bus, tmp_path):
    server = mongod(free_port(), tmp_path)
    with running(server) as process:
        database = connect(f"{server.url}/things")
        documents = open_things(database, relay := Relay(Outbox(), bus))
        await documents.ensure_indexes()
        thing = Thing(id=new_id())
        await documents.insert(thing)  # queued, because the relay does not run yet
        process.kill()
        process.wait()
    async with running_job(relay.run):
        await wait_until(lambda: published(bus, TicketUpdated))
        await asyncio.sleep(3)  # longer than the driver waits for a server
        with running(server):
            await wait_until_published(database)
            await documents.change(retitle("later"), id=thing.id)
            await wait_until_published(database)
            assert await versions_in_stream(bus) == {thing.id: [0, 1]}
    database.client.close()


async def test_documents_that_do_not_fit_into_the_queue_are_published(database, bus, monkeypatch):
    monkeypatch.setattr(outbox_module, "_MAX_QUEUED_DOCUMENTS", 2)
    relay = Relay(Outbox(), bus)
    documents = open_things(database, relay)
    for _ in range(5):
        await documents.insert(Thing(id=new_id()))
    async with running_job(relay.run):
        await wait_until_published(database)
    assert len(await published(bus, TicketUpdated)) == 5


async def test_document_with_many_events_is_not_queued_and_is_published_in_order(database, bus, monkeypatch):
    monkeypatch.setattr(relay_module, "_MAX_EVENTS_OF_DOCUMENT", 5)
    relay = Relay(Outbox(), bus)
    documents = open_things(database, relay)
    await documents.insert(thing := Thing(id=new_id()))
    for n in range(20):
        await documents.change(retitle(str(n)), id=thing.id)
    queue = relay.outbox.queue
    queued = [queue.get_nowait() for _ in range(queue.qsize())]
    assert max(len(pending.entries) for pending in queued) == MAX_QUEUED_EVENTS
    for pending in queued:
        queue.put_nowait(pending)
    async with running_job(relay.run):
        await wait_until_published(database)
    assert await versions_in_stream(bus) == {thing.id: list(range(21))}


async def test_change_is_rejected_while_the_document_has_too_many_unpublished_events(
    database, bus, monkeypatch
):
    monkeypatch.setattr(documents_module, "MAX_OUTBOX_EVENTS", 3)
    monkeypatch.setattr(documents_module, "MAX_QUEUED_EVENTS", 3)
    attempts = []

    def change(thing):
        attempts.append(thing)
        return thing.evolve(title="one too many")

    documents = open_things(database, Relay(Outbox(), Bus("", "unreachable")))
    await documents.insert(thing := Thing(id=new_id()))
    for n in range(2):
        await documents.change(retitle(str(n)), id=thing.id)
    with pytest.raises(Unavailable):
        await documents.change(change, id=thing.id)
    assert len(attempts) == 1
    relay = Relay(Outbox(), bus)
    documents = open_things(database, relay)
    async with running_job(relay.run):
        await wait_until_published(database)
        await documents.change(retitle("fits again"), id=thing.id)
        await wait_until_published(database)
    assert await versions_in_stream(bus) == {thing.id: [0, 1, 2, 3]}
