"""The relay's sweep: publishes the events that a crash or an outage left behind, shared by the replicas."""

from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from ticketing_common.messaging import relay as relay_module
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus, open_bus
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage.outbox import Outbox, outbox_entry
from ticketing_common.testing import published, wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.testing.servers import free_port, nats_server, running
from ticketing_common.values.clock import now
from ticketing_common.values.events import TicketUpdated
from ticketing_common.values.ids import new_id

from .samples import read_sample, wait_for_sample
from .things import Thing, count_unpublished, event_of, open_things, versions_in_stream, wait_until_published

LONG_AGO = timedelta(minutes=5)


async def leave_behind(database, count, versions=1):
    """Inserts documents with events that a crashed process did not publish."""
    documents = []
    for _ in range(count):
        states = [Thing(id=new_id(), version=0)]
        states += [states[0].evolve(version=version) for version in range(1, versions)]
        entries = [outbox_entry(event_of(state)) | {"at": now() - LONG_AGO} for state in states]
        last = states[-1]
        documents.append({"_id": last.id, "version": last.version, "title": "", "outbox": entries})
    await open_things(database, Relay(Outbox(), Bus("", "crashed"))).ensure_indexes()
    await database["things"].insert_many(documents)


async def test_events_left_behind_by_a_crash_are_found_by_an_index_and_published(database, bus):
    crashed = open_things(database, Relay(Outbox(), bus))
    await crashed.insert(Thing(id=new_id(), title="left behind"))
    assert await published(bus, TicketUpdated) == []
    relay = Relay(Outbox(), bus)
    documents = open_things(database, relay)
    await documents.ensure_indexes()
    async with running_job(relay.run):
        await wait_until(lambda: published(bus, TicketUpdated))
    plan = await database.command(
        "explain", {"find": "things", "filter": {"outbox.0": {"$exists": True}, "outbox.at": {"$lt": 1}}}
    )
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


async def test_age_of_the_oldest_unpublished_event_is_measured(database, bus):
    relay = Relay(Outbox(), Bus("nats://127.0.0.1:9", "unreachable"))
    documents = open_things(database, relay)
    await documents.insert(Thing(id=new_id()))
    await database["things"].update_one({}, {"$set": {"outbox.0.at": now() - timedelta(minutes=2)}})
    with pytest.raises(NATS_UNAVAILABLE):
        await relay._sweep(documents.collection)
    assert 120 <= read_sample("ticketing_outbox_oldest_seconds", collection="things") < 150
    relay = Relay(Outbox(), bus)
    open_things(database, relay)
    async with running_job(relay.run):
        await wait_for_sample("ticketing_outbox_oldest_seconds", 0, collection="things")


async def test_sweep_does_not_pause_between_full_batches(database, bus, monkeypatch):
    monkeypatch.setattr(relay_module, "_BATCH", 10)
    monkeypatch.setattr(relay_module, "_SWEEP_EVERY", 3.0)
    await leave_behind(database, 100)  # takes 30 s with a pause before each batch
    relay = Relay(Outbox(), bus)
    open_things(database, relay)
    async with running_job(relay.run):
        await wait_until_published(database, 25)
    assert len(await published(bus, TicketUpdated)) == 100


async def test_each_event_of_a_backlog_is_published_by_one_replica(database, bus, nats_url, monkeypatch):
    monkeypatch.setattr(relay_module, "_BATCH", 50)
    monkeypatch.setattr(relay_module, "_LEASE", timedelta(seconds=60))
    await leave_behind(database, 600)
    before = read_sample("ticketing_outbox_swept_total")
    async with AsyncExitStack() as replicas:
        for _ in range(3):
            relay = Relay(Outbox(), await replicas.enter_async_context(open_bus(nats_url, "replica")))
            open_things(database, relay)
            await replicas.enter_async_context(running_job(relay.run))
        await wait_until_published(database)
    assert read_sample("ticketing_outbox_swept_total") - before == 600


async def test_documents_leased_by_a_killed_replica_are_published_when_the_lease_ends(
    database, bus, monkeypatch
):
    monkeypatch.setattr(relay_module, "_LEASE", timedelta(seconds=2))
    await leave_behind(database, 5)
    collection = database["things"]
    ids = [document["_id"] for document in await collection.find({}).to_list(5)]
    killed = Relay(Outbox(), Bus("", "killed"))
    assert len(await killed._lease(collection, ids, now())) == 5
    assert await Relay(Outbox(), Bus("", "another"))._lease(collection, ids, now()) == []
    relay = Relay(Outbox(), bus)
    open_things(database, relay)
    async with running_job(relay.run):
        await wait_until_published(database)
    assert await collection.count_documents({"outbox_lease": {"$exists": True}}) == 0


async def test_events_of_each_aggregate_stay_in_order_when_nats_restarts_during_the_sweep(
    database, tmp_path, monkeypatch
):
    monkeypatch.setattr(relay_module, "_BATCH", 20)
    await leave_behind(database, 200, versions=4)
    server = nats_server(free_port(), tmp_path)

    async def is_half_published():
        return await count_unpublished(database) < 120

    async with AsyncExitStack() as replicas:
        with running(server) as process:
            for _ in range(2):
                relay = Relay(Outbox(), await replicas.enter_async_context(open_bus(server.url, "replica")))
                open_things(database, relay)
                await replicas.enter_async_context(running_job(relay.run))
            await wait_until(is_half_published, 20)
            process.kill()
            process.wait()
        with running(server):
            await wait_until_published(database, 30)
            async with open_bus(server.url, "test") as bus:
                published_versions = await versions_in_stream(bus)
            assert len(published_versions) == 200
            assert all(versions == [0, 1, 2, 3] for versions in published_versions.values())
