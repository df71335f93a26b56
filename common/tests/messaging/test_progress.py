"""When a service that does not have an id may call it unknown."""

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta
from decimal import Decimal

import pytest
from nats.js.api import AckPolicy, ConsumerConfig

from ticketing_common.messaging import progress
from ticketing_common.messaging.bus import STREAM, Bus, open_bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.messaging.listener import Listener
from ticketing_common.messaging.progress import WRITTEN_AT
from ticketing_common.testing import published, wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.testing.servers import free_port, nats_server, running
from ticketing_common.values.clock import now
from ticketing_common.values.events import TicketCreated
from ticketing_common.values.ids import new_id

CONSUMER = ConsumerConfig(
    durable_name="test", ack_policy=AckPolicy.EXPLICIT, filter_subject=TicketCreated.subject
)


@pytest.fixture(autouse=True)
def _nothing_cached(monkeypatch):
    monkeypatch.setattr(progress, "_CACHE_SECONDS", 0)


async def publish(bus, written_at=None):
    event = TicketCreated(id=new_id(), version=0, title="", price=Decimal(1), user_id="u")
    data = event.model_dump_json(by_alias=True).encode()
    await bus.publish_raw(event.subject, data, event.event_id, written_at=written_at)


@asynccontextmanager
async def listening(bus, database, handle):
    listener = Listener(bus, "test", {TicketCreated: handle}, None, DeadLetters(database))
    async with running_job(listener.run):
        yield


async def take_in(_event, _repository):
    pass


async def behind(bus):
    return await bus.is_behind()


async def caught_up(bus):
    return not await behind(bus)


async def test_without_a_consumer_a_service_is_behind(bus):
    assert await behind(bus)
    await bus.js.add_consumer(STREAM.name, CONSUMER)
    assert not await behind(bus)


async def test_service_is_behind_during_an_outage_of_nats_and_shortly_after(tmp_path):
    server = nats_server(free_port(), tmp_path)
    bus = Bus(server.url, "test")
    with running(server) as process:
        await bus.connect()
        await bus.js.add_consumer(STREAM.name, CONSUMER)
        assert not await behind(bus)
        process.kill()
        process.wait()

    async def is_back():
        return bus.reconnects

    assert await behind(bus)
    with running(server):
        await wait_until(is_back)
        assert await behind(bus)
        await bus.close()


async def test_service_that_started_during_an_outage_of_nats_is_behind_shortly_after(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "_CATCHING_UP", 1.0)
    server = nats_server(free_port(), tmp_path)
    bus = Bus(server.url, "test")
    connecting = asyncio.create_task(bus.connect())
    await asyncio.sleep(0.5)
    with running(server):
        await asyncio.wait_for(connecting, 10)
        await bus.js.add_consumer(STREAM.name, CONSUMER)
        monkeypatch.setattr(progress, "_CATCHING_UP", 60.0)
        assert await behind(bus)
        monkeypatch.setattr(progress, "_CATCHING_UP", 0.0)
        assert not await behind(bus)
        await bus.close()


async def test_service_that_has_just_started_is_behind_for_ids_made_shortly_before(bus, monkeypatch):
    """NATS may have been down until then, and their events may still be with their publishers."""
    await bus.js.add_consumer(STREAM.name, CONSUMER)
    bus.progress.note_start()
    assert await bus.is_behind(now() - timedelta(minutes=5))
    assert not await bus.is_behind(now() - timedelta(days=1))
    assert not await bus.is_behind(now())
    monkeypatch.setattr(progress, "_CATCHING_UP", 0.0)
    assert not await bus.is_behind(now() - timedelta(minutes=5))


async def test_event_in_flight_makes_young_ids_doubtful_and_no_others(bus, monkeypatch):
    monkeypatch.setattr(progress, "_IDLE", 60.0)
    await bus.js.add_consumer(STREAM.name, CONSUMER)
    await publish(bus)
    consumer = await bus.js.pull_subscribe_bind(durable="test", stream=STREAM.name)
    (message,) = await consumer.fetch(1)
    bus.progress.note_delivery(message)
    assert not await behind(bus)
    assert await bus.is_behind(id_created_at=now())
    await message.ack_sync()
    assert not await bus.is_behind(id_created_at=now())


async def test_service_is_behind_while_what_it_has_in_hand_does_not_get_done(bus, database, monkeypatch):
    monkeypatch.setattr(progress, "_IDLE", 0.2)
    free = asyncio.Event()

    async def hang(_event, _repository):
        await free.wait()

    async with listening(bus, database, hang):
        await publish(bus)
        await wait_until(lambda: behind(bus))
        free.set()
        await wait_until(lambda: caught_up(bus))


async def test_service_is_behind_until_its_own_backlog_is_drained(bus, database, monkeypatch):
    monkeypatch.setattr(progress, "_LATE", timedelta(seconds=0.3))
    await bus.js.add_consumer(STREAM.name, CONSUMER)
    for _ in range(60):
        await publish(bus)
    await asyncio.sleep(0.4)
    handled = []

    async def handle_slowly(event, _repository):
        handled.append(await behind(bus))
        await asyncio.sleep(0.02)

    async with listening(bus, database, handle_slowly):

        async def all_handled():
            return len(handled) == 60

        await wait_until(all_handled, 30)
        assert all(handled)
        await wait_until(lambda: caught_up(bus))


async def test_service_is_behind_while_a_publisher_works_off_its_backlog(bus, database, monkeypatch):
    async with listening(bus, database, take_in):
        await publish(bus, written_at=now() - timedelta(seconds=1))
        await wait_until(lambda: caught_up(bus))
        await publish(bus, written_at=now() - timedelta(minutes=1))
        await wait_until(lambda: behind(bus))
        monkeypatch.setattr(progress, "_CATCHING_UP", 0.5)
        await wait_until(lambda: caught_up(bus))


async def test_time_of_writing_is_published_with_an_event_from_an_outbox(nats_url, bus, database):
    """So that a follower can tell a backlog, whatever the event says."""
    from ticketing_common.messaging.relay import Relay
    from ticketing_common.storage.outbox import Outbox, outbox_entry

    event = TicketCreated(id=new_id(), version=0, title="", price=Decimal(1), user_id="u")
    written_at = now() - timedelta(minutes=1)
    document = {"_id": event.id, "outbox": [outbox_entry(event) | {"at": written_at}]}
    await database["things"].insert_one(document)
    async with open_bus(nats_url, "relay") as own:
        relay = Relay(Outbox(), own)
        relay.outbox.add_collection(database["things"])
        async with running_job(relay.run), listening(bus, database, take_in):
            await wait_until(lambda: published(bus, TicketCreated))
            await wait_until(lambda: behind(bus))
            message = await bus.js.get_msg(STREAM.name, subject=event.subject, seq=1, next=True)
            told = progress.datetime.fromisoformat(message.headers[WRITTEN_AT])
            assert abs(told - written_at) < timedelta(milliseconds=1)
