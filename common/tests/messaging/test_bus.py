"""The connection to NATS: frozen and restarted servers, the stream's subjects, duplicates."""

import asyncio
import signal
from dataclasses import replace
from decimal import Decimal

import pytest

from ticketing_common.messaging import bus as bus_module
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, STREAM, Bus, open_bus
from ticketing_common.testing import published, wait_until
from ticketing_common.testing.servers import free_port, freeze, nats_server, running
from ticketing_common.values.events import TicketCreated
from ticketing_common.values.ids import new_id


async def test_bus_receives_again_as_soon_as_a_frozen_server_continues(tmp_path):
    """nats-py's own ping would end the reading of the connection when its late answer arrives."""
    server = nats_server(free_port(), tmp_path)
    with running(server) as process:
        async with open_bus(server.url, "test") as bus:
            freeze(process)
            with pytest.raises(NATS_UNAVAILABLE):
                await asyncio.wait_for(bus.ping(), 2.5)
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.2)
            async with asyncio.timeout(1):
                await bus.publish_raw("ticket.created", b"{}")


async def test_connecting_during_an_outage_does_not_block_reconnecting(tmp_path):
    """A background job that failed during the outage and is restarted connects again."""
    server = nats_server(free_port(), tmp_path)
    with running(server) as process:
        bus = Bus(server.url, "test")
        await bus.connect()
        process.kill()

    async def is_down():
        try:
            await bus.ping()
        except NATS_UNAVAILABLE:
            return True

    async def is_up():
        return not await is_down()

    await wait_until(is_down)
    second_connect = asyncio.create_task(bus.connect())
    await asyncio.sleep(0.5)
    with running(server):
        await wait_until(is_up, 5)
        await asyncio.wait_for(second_connect, 1)
        await bus.publish_raw("ticket.created", b"{}")
        await bus.close()


async def test_publishing_before_the_first_connection_does_not_prevent_later_replies(tmp_path):
    """A first request between two attempts to connect leaves nats-py without an inbox for ever."""
    server = nats_server(free_port(), tmp_path)
    with running(server) as process:
        freeze(process)
        bus = Bus(server.url, "test")
        connecting = asyncio.create_task(bus.connect())
        for _ in range(60):
            with pytest.raises(NATS_UNAVAILABLE):
                await asyncio.wait_for(bus.publish_raw("ticket.created", b"{}"), 1)
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGCONT)
        await asyncio.wait_for(connecting, 10)
        await bus.publish_raw("ticket.created", b"{}")
        await bus.close()


async def test_versions_keep_each_others_subjects_in_the_stream(tmp_path, monkeypatch):
    server = nats_server(free_port(), tmp_path)
    old, new = ["ticket.*", "order.*"], ["ticket.*", "session.*", "user.*"]
    with running(server):
        for subjects in (old, new, old):
            monkeypatch.setattr(bus_module, "STREAM", replace(STREAM, subjects=subjects))
            async with open_bus(server.url, "test") as bus:
                stream = await bus.stream_info()
        assert set(stream.config.subjects or ()) == {*old, *new}


async def test_event_published_twice_is_stored_once(bus):
    event = TicketCreated(id=new_id(), version=0, title="a", price=Decimal(1), user_id="u")
    await bus.publish(event)
    await bus.publish(event)
    assert len(await published(bus, TicketCreated)) == 1


async def test_stream_that_the_server_lost_is_created_again(bus):
    event = TicketCreated(id=new_id(), version=0, title="a", price=Decimal(1), user_id="u")
    await bus.js.delete_stream(str(STREAM.name))
    with pytest.raises(NATS_UNAVAILABLE):
        await bus.publish(event)
    await bus.publish(event)
    assert len(await published(bus, TicketCreated)) == 1
    await bus.js.delete_stream(str(STREAM.name))
    assert (await bus.stream_info()).state.messages == 0
