"""Reading the stream from a position: all messages in order, once each, across outages."""

import asyncio
import contextlib
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from ticketing_common.messaging.bus import open_bus
from ticketing_common.messaging.stream_reader import Position, read_messages
from ticketing_common.testing import wait_until
from ticketing_common.testing.servers import free_port, nats_server, running
from ticketing_common.values.events import TicketCreated, TicketUpdated
from ticketing_common.values.ids import new_id
from tickets.stream_tail import tail_stream

SUBJECTS = [TicketCreated.subject]


async def publish(bus, *titles, kind=TicketCreated):
    for title in titles:
        await bus.publish(kind(id=new_id(), version=0, title=title, price=Decimal(1), user_id="u"))


async def last_position(bus):
    stream = await bus.stream_info()
    return Position.of(stream, stream.state.last_seq)


def titles(messages):
    return [TicketCreated.model_validate_json(message.data).title for message in messages]


class Reader:
    """Reads in the background, and records the messages and positions."""

    def __init__(self, bus, after):
        self.messages = []
        self.positions = []
        self.task = asyncio.create_task(self._read(bus, after))

    async def _read(self, bus, after):
        async for position, messages in tail_stream(bus, SUBJECTS, after):
            self.positions.append(position)
            self.messages += messages

    async def wait_for(self, *expected):
        async def are_read():
            return titles(self.messages) == list(expected)

        await wait_until(are_read)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.mark.parametrize("text", ["1a-0", "19a2b3c4d5e-123456"])
def test_position_is_parsed_from_its_text(text):
    assert str(Position.parse(text)) == text


@pytest.mark.parametrize("text", ["", "0", "-1", "1-", "x-1", "1-1-1", "1-1\n", "1-" + "9" * 19, "1-²"])
def test_invalid_position_is_none(text):
    assert Position.parse(text) is None


async def test_batch_is_limited_and_contains_only_the_requested_subjects(bus):
    start = await last_position(bus)
    await publish(bus, "a", "b")
    await publish(bus, "another kind", kind=TicketUpdated)
    await publish(bus, "c")
    first = await read_messages(bus, SUBJECTS, start, 2)
    rest = await read_messages(bus, SUBJECTS, first[-1].position, 9)
    assert (titles(first), titles(rest)) == (["a", "b"], ["c"])
    assert await read_messages(bus, SUBJECTS, rest[-1].position, 9) == []
    assert await read_messages(bus, SUBJECTS, Position(1, 0), 9) == []  # of another stream
    assert await bus.js.consumers_info("TICKETING") == []


async def test_each_reader_reads_all_messages_and_removes_its_consumer(bus):
    start = await last_position(bus)
    await publish(bus, "a")
    async with Reader(bus, start) as first, Reader(bus, start) as second:
        await publish(bus, "b")
        await first.wait_for("a", "b")
        await second.wait_for("a", "b")
        assert first.positions[0] == start
        assert first.positions[-1] == await last_position(bus)
    assert await bus.js.consumers_info("TICKETING") == []


async def test_consumer_that_the_server_deleted_is_created_again(bus):
    async with Reader(bus, await last_position(bus)) as reader:
        await publish(bus, "a")
        await reader.wait_for("a")
        (consumer,) = await bus.js.consumers_info("TICKETING")
        await bus.js.delete_consumer("TICKETING", consumer.name)
        await publish(bus, "b")
        await reader.wait_for("a", "b")


async def test_messages_lost_with_a_connection_are_read_again(bus, nats_url):
    async with open_bus(nats_url, "reader") as own, Reader(own, await last_position(bus)) as reader:
        await publish(bus, "a")
        await reader.wait_for("a")
        await asyncio.sleep(0.05)  # it has requested the next message
        connection: Any = own._client._transport
        socket = connection._io_writer.transport
        socket.pause_reading()
        await publish(bus, "in flight")
        await asyncio.sleep(0.05)  # the server has sent the message
        socket.abort()
        await publish(bus, "behind it")
        await reader.wait_for("a", "in flight", "behind it")
        assert own.reconnects == 1


async def test_no_message_is_lost_when_the_server_is_killed_repeatedly(tmp_path):
    server = nats_server(free_port(), tmp_path)
    sent = []
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(running(server))
        async with open_bus(server.url, "test") as bus, Reader(bus, await last_position(bus)) as reader:
            for run in range(3):
                for i in range(20):
                    sent.append(f"{run}.{i}")
                    await publish(bus, sent[-1])
                reconnects = bus.reconnects
                process.kill()
                process.wait()
                process = stack.enter_context(running(server))
                await wait_until(partial(has_reconnected, bus, reconnects))
            await reader.wait_for(*sent)
            assert reader.positions == sorted(reader.positions)


async def has_reconnected(bus, before):
    return bus.reconnects > before
