"""Whether events may be missing, so that an id without a copy may still exist."""

import asyncio
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from ticketing_common.messaging import progress
from ticketing_common.messaging.bus import Bus, open_bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.messaging.listener import Listener
from ticketing_common.messaging.progress import WRITTEN_AT
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage.outbox import Outbox, outbox_entry
from ticketing_common.testing import published, wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.testing.servers import free_port, nats_server, running
from ticketing_common.values.clock import now
from ticketing_common.values.events import TicketCreated
from ticketing_common.values.ids import new_id

STREAM_NAME = "TICKETING"
CONSUMER = ConsumerConfig(
    durable_name="test", ack_policy=AckPolicy.EXPLICIT, filter_subject=TicketCreated.subject
)


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch):
    monkeypatch.setattr(progress, "_CACHE_SECONDS", 0)


async def publish(bus, written_at=None):
    event = TicketCreated(id=new_id(), version=0, title="", price=Decimal(1), user_id="u")
    data = event.model_dump_json(by_alias=True).encode()
    await bus.publish_raw(event.subject, data, event.event_id, written_at=written_at)


@asynccontextmanager
async def running_listener(bus, database, handle):
    listener = Listener(bus, "test", {TicketCreated: handle}, None, DeadLetters(database))
    async with running_job(listener.run):
        yield


async def ignore(_event, _repository):
    pass


async def is_caught_up(bus):
    return not await bus.is_behind()


async def test_service_without_a_consumer_is_behind(bus):
    assert await bus.is_behind()
    await bus.js.add_consumer(STREAM_NAME, CONSUMER)
    assert not await bus.is_behind()


async def test_service_that_never_connected_is_behind():
    assert await Bus("nats://127.0.0.1:9", "unreachable").is_behind()


async def test_service_is_behind_during_an_outage_of_nats_and_shortly_after(tmp_path):
    server = nats_server(free_port(), tmp_path)
    bus = Bus(server.url, "test")
    with running(server) as process:
        await bus.connect()
        await bus.js.add_consumer(STREAM_NAME, CONSUMER)
        assert not await bus.is_behind()
        process.kill()
        process.wait()

    async def is_reconnected():
        return bus.reconnects

    assert await bus.is_behind()
    with running(server):
        await wait_until(is_reconnected)
        assert await bus.pending_count("test") == 0
        assert await bus.is_behind()  # other services may not have published their outboxes yet
        await bus.close()


async def test_service_that_started_during_an_outage_of_nats_is_behind_shortly_after(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_CATCHING_UP", 1.0)
    server = nats_server(free_port(), tmp_path)
    bus = Bus(server.url, "test")
    connecting = asyncio.create_task(bus.connect())
    await asyncio.sleep(0.5)
    with running(server):
        await asyncio.wait_for(connecting, 10)
        await bus.js.add_consumer(STREAM_NAME, CONSUMER)
        monkeypatch.setattr(progress, "_CATCHING_UP", 60.0)
        assert await bus.is_behind()
        monkeypatch.setattr(progress, "_CATCHING_UP", 0.0)
        assert not await bus.is_behind()
        await bus.close()


async def test_service_that_has_just_started_is_behind_for_ids_created_shortly_before(bus, monkeypatch):
    """NATS may have been down until the start, so their events may not be published yet."""
    await bus.js.add_consumer(STREAM_NAME, CONSUMER)
    bus.progress.note_start()
    assert await bus.is_behind(now() - timedelta(minutes=5))
    assert not await bus.is_behind(now() - timedelta(days=1))
    assert not await bus.is_behind(now())
    monkeypatch.setattr(progress, "_CATCHING_UP", 0.0)
    assert not await bus.is_behind(now() - timedelta(minutes=5))


async def test_event_in_flight_counts_only_for_young_ids(bus, monkeypatch):
    monkeypatch.setattr(progress, "_IDLE", 60.0)
    await bus.js.add_consumer(STREAM_NAME, CONSUMER)
    await publish(bus)
    consumer = await bus.js.pull_subscribe_bind(durable="test", stream=STREAM_NAME)
    (message,) = await consumer.fetch(1)
    bus.progress.note_delivery(message)
    assert not await bus.is_behind()
    assert await bus.is_behind(id_created_at=now())
    await message.ack_sync()
    assert not await bus.is_behind(id_created_at=now())


async def test_service_is_behind_while_its_handlers_hang(bus, database, monkeypatch):
    monkeypatch.setattr(progress, "_IDLE", 0.2)
    release = asyncio.Event()

    async def hang(_event, _repository):
        await release.wait()

    async with running_listener(bus, database, hang):
        await publish(bus)
        await wait_until(bus.is_behind)
        release.set()
        await wait_until(lambda: is_caught_up(bus))


async def test_service_is_behind_until_its_own_backlog_is_drained(bus, database, monkeypatch):
    monkeypatch.setattr(progress, "_LATE", timedelta(seconds=0.3))
    await bus.js.add_consumer(STREAM_NAME, CONSUMER)
    for _ in range(60):
        await publish(bus)
    await asyncio.sleep(0.4)
    handled = []

    async def handle_slowly(event, _repository):
        handled.append(await bus.is_behind())
        await asyncio.sleep(0.02)

    async with running_listener(bus, database, handle_slowly):

        async def all_handled():
            return len(handled) == 60

        await wait_until(all_handled, 30)
        assert all(handled)
        await wait_until(lambda: is_caught_up(bus))


async def test_service_is_behind_while_a_publisher_publishes_its_backlog(bus, database, monkeypatch):
    async with running_listener(bus, database, ignore):
        await publish(bus, written_at=now() - timedelta(seconds=1))
        await wait_until(lambda: is_caught_up(bus))
        await publish(bus, written_at=now() - timedelta(minutes=1))
        await wait_until(bus.is_behind)
        monkeypatch.setattr(progress, "_CATCHING_UP", 0.5)
        await wait_until(lambda: is_caught_up(bus))


async def test_event_from_an_outbox_carries_the_time_at_which_it_was_stored(nats_url, bus, database):
    """Consumers recognise a backlog by it."""
    event = TicketCreated(id=new_id(), version=0, title="", price=Decimal(1), user_id="u")
    written_at = now() - timedelta(minutes=1)
    document = {"_id": event.id, "outbox": [outbox_entry(event) | {"at": written_at}]}
    await database["things"].insert_one(document)
    async with open_bus(nats_url, "relay") as relay_bus:
        relay = Relay(Outbox(), relay_bus)
        relay.outbox.add_collection(database["things"])
        async with running_job(relay.run), running_listener(bus, database, ignore):
            await wait_until(lambda: published(bus, TicketCreated))
            await wait_until(bus.is_behind)
            message = await bus.js.get_msg(STREAM_NAME, subject=event.subject, seq=1, next=True)
            stored_at = datetime.fromisoformat(message.headers[WRITTEN_AT])
            assert abs(stored_at - written_at) < timedelta(milliseconds=1)
