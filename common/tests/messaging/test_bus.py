"""The connection to a NATS that freezes, or is down for a while."""

import asyncio
import signal
from dataclasses import replace

import pytest
from nats.js.api import ConsumerConfig

from ticketing_common.messaging import bus as jetstream
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, STREAM, Bus, ConsumerExists, open_bus
from ticketing_common.testing import wait_until
from ticketing_common.testing.servers import free_port, freeze, nats_server, running


async def test_a_server_that_was_frozen_is_heard_again_at_once(tmp_path):
    """nats-py's own ping, once given up, makes the connection deaf when the late answer comes."""
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


async def test_who_connects_while_the_server_is_down_is_not_in_the_way_of_coming_back(tmp_path):
    """As a background job does that failed meanwhile and is begun again."""
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

    async def is_heard():
        return not await is_down()

    await wait_until(is_down)
    again = asyncio.create_task(bus.connect())
    await asyncio.sleep(0.5)
    with running(server):
        await wait_until(is_heard, 5)
        await asyncio.wait_for(again, 1)
        await bus.publish_raw("ticket.created", b"{}")
        await bus.close()


async def test_publishing_before_the_first_connection_leaves_it_able_to_receive_answers(tmp_path):
    """nats-py makes its inbox with the first request; between two attempts to connect that fails for good."""
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


async def test_after_an_outage_others_may_still_be_publishing_what_they_wrote_meanwhile(tmp_path):
    """So nothing young is called unknown just then."""
    server = nats_server(free_port(), tmp_path)
    with running(server) as process:
        bus = Bus(server.url, "test")
        await bus.connect()
        await bus.js.add_consumer(STREAM.name, ConsumerConfig(durable_name="test"))
        assert not await bus.is_behind()
        process.kill()
        process.wait()

    async def is_back():
        return bus.reconnects

    with running(server):
        await wait_until(is_back)
        assert await bus.pending_count("test") == 0
        assert await bus.is_behind()
        await bus.close()


async def test_versions_that_start_at_once_leave_each_other_their_subjects_in_the_stream(
    tmp_path, monkeypatch
):
    """Also one that was stopped and starts again with the fewer subjects that it has."""
    server = nats_server(free_port(), tmp_path)
    old, new = ["ticket.*", "order.*"], ["ticket.*", "session.*", "user.*"]
    with running(server):
        for subjects in (old, new, old):
            monkeypatch.setattr(jetstream, "STREAM", replace(STREAM, subjects=subjects))
            async with open_bus(server.url, "test") as bus:
                kept = (await bus.stream_info()).config.subjects
        assert set(kept) == {*old, *new}


async def test_consumer_of_another_version_is_not_overwritten_by_creating_one(bus):
    theirs = ConsumerConfig(durable_name="test", filter_subjects=["order.created"])
    await bus.create_consumer(theirs)
    await bus.create_consumer(theirs)
    with pytest.raises(ConsumerExists):
        await bus.create_consumer(replace(theirs, filter_subjects=["order.cancelled"]))
    config = (await bus.js.consumer_info(STREAM.name, "test")).config
    assert config.filter_subjects == ["order.created"]
