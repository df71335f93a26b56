"""The listener while MongoDB or NATS is frozen, unreachable or down."""

import asyncio
import signal

from pymongo.errors import ConnectionFailure

from ticketing_common.messaging import listener as listener_module
from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.storage.mongo import connect
from ticketing_common.testing.servers import free_port, freeze, mongod, nats_server, running
from ticketing_common.values.events import PaymentFailed

from .replicas import (
    Inbox,
    count_deliveries,
    publish_failed,
    running_replica,
    wait_until_acknowledged,
    wait_until_handled,
)


def inbox_without_mongodb():
    return Inbox(*[ConnectionFailure("no route")] * 1_000)


async def test_frozen_mongodb_causes_no_second_delivery(bus, nats_url, tmp_path):
    server = mongod(free_port(), tmp_path)
    with running(server) as process:
        database = connect(f"{server.url}/test")

        async def read(_event, _repository):
            await database["things"].find_one({})

        async with running_replica(nats_url, database, {PaymentFailed: read}):
            await database["things"].find_one({})
            freeze(process)
            await publish_failed(bus, 3)
            await asyncio.sleep(6.5)  # longer than the time-outs of the acknowledgement and of the driver
            process.send_signal(signal.SIGCONT)
            await wait_until_acknowledged(bus)
            assert await count_deliveries(bus) == 3
        assert await DeadLetters(database).count() == 0
        database.client.close()


async def test_events_at_a_replica_without_mongodb_are_handled_by_another(
    bus, database, letters, nats_url, monkeypatch
):
    monkeypatch.setattr(listener_module, "_STORE_TIMEOUT", 0.5)
    cut_off, healthy = inbox_without_mongodb(), Inbox()
    async with running_replica(nats_url, database, {PaymentFailed: cut_off}):
        sent = await publish_failed(bus, 20)  # more than it handles concurrently
        async with running_replica(nats_url, database, {PaymentFailed: healthy}):
            await wait_until_handled(healthy, sent)
    assert cut_off.orders == []
    assert await letters.count() == 0


async def test_replica_without_mongodb_fetches_no_more_events(bus, database, nats_url, monkeypatch):
    monkeypatch.setattr(listener_module, "_STORE_TIMEOUT", 0.5)
    unreachable = connect(f"mongodb://127.0.0.1:{free_port()}/test")
    cut_off, healthy = inbox_without_mongodb(), Inbox()
    async with running_replica(nats_url, unreachable, {PaymentFailed: cut_off}):
        sent = await publish_failed(bus, 20)
        async with running_replica(nats_url, database, {PaymentFailed: healthy}):
            await wait_until_handled(healthy, sent)
            calls = cut_off.calls
            await wait_until_handled(healthy, sent | await publish_failed(bus, 50))
            assert cut_off.calls == calls
    unreachable.client.close()


async def test_outage_of_both_stores_causes_no_dead_letter(tmp_path):
    nats, mongo = nats_server(free_port(), tmp_path), mongod(free_port(), tmp_path)
    inbox = Inbox()
    with running(mongo) as mongo_process:
        database = connect(f"{mongo.url}/test")

        async def write(event, repository):
            await database["things"].insert_one({"order": event.order_id})
            await inbox(event, repository)

        with running(nats) as nats_process:
            publisher = Bus(nats.url, "publisher")
            await publisher.connect()
            replica = running_replica(nats.url, database, {PaymentFailed: write})
            await replica.__aenter__()
            freeze(mongo_process)
            sent = await publish_failed(publisher, 20)
            await asyncio.sleep(0.5)
            nats_process.kill()
            nats_process.wait()
        await asyncio.sleep(3)
        with running(nats):
            mongo_process.send_signal(signal.SIGCONT)
            await wait_until_handled(inbox, sent)
            await replica.__aexit__(None, None, None)
            await publisher.close()
        assert await DeadLetters(database).count() == 0
        database.client.close()
