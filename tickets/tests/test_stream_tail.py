"""Reading the stream from a position: all of it, in order, once, whatever dies meanwhile."""

import asyncio
import contextlib
from decimal import Decimal

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


async def end_of(bus):
    stream = await bus.stream_info()
    return Position.of(stream, stream.state.last_seq)


def titles(messages):
    return [TicketCreated.model_validate_json(message.data).title for message in messages]


class Reader:
    """Reads on in the background, and remembers what it was given."""

    def __init__(self, bus, after):
        self.messages = []
        self.reached = []
        self.task = asyncio.create_task(self._read(bus, after))

    async def _read(self, bus, after):
        async for reached, messages in tail_stream(bus, SUBJECTS, after):
            self.reached.append(reached)
            self.messages += messages

    async def has(self, *wanted):
        async def got():
            return titles(self.messages) == list(wanted)

        await wait_until(got)

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest.mark.parametrize("text", ["1a-0", "19a2b3c4d5e-123456"])
def test_a_position_is_read_as_it_is_written(text):
    assert str(Position.parse(text)) == text


@pytest.mark.parametrize("text", ["", "0", "-1", "1-", "x-1", "1-1-1", "1-1\n", "1-" + "9" * 19, "1-²"])
def test_what_is_no_position_is_none(text):
    assert Position.parse(text) is None


async def test_a_batch_is_bounded_and_holds_only_what_was_asked_for(bus):
    start = await end_of(bus)
    await publish(bus, "a", "b")
    await publish(bus, "another kind", kind=TicketUpdated)
    await publish(bus, "c")
    first = await read_messages(bus, SUBJECTS, start, 2)
    rest = await read_messages(bus, SUBJECTS, first[-1].position, 9)
    assert (titles(first), titles(rest)) == (["a", "b"], ["c"])
    assert await read_messages(bus, SUBJECTS, rest[-1].position, 9) == []
    assert await read_messages(bus, SUBJECTS, Position(1, 0), 9) == []  # of another stream
    assert await bus.js.consumers_info("TICKETING") == []


async def test_each_reader_sees_all_and_leaves_nothing_on_the_server(bus):
    start = await end_of(bus)
    await publish(bus, "a")
    async with Reader(bus, start) as one, Reader(bus, start) as other:
        await publish(bus, "b")
        await one.has("a", "b")
        await other.has("a", "b")
        assert one.reached[0] == start
        assert one.reached[-1] == await end_of(bus)
    assert await bus.js.consumers_info("TICKETING") == []


async def test_a_consumer_that_the_server_forgot_is_made_anew(bus):
    async with Reader(bus, await end_of(bus)) as reader:
        await publish(bus, "a")
        await reader.has("a")
        (consumer,) = await bus.js.consumers_info("TICKETING")
        await bus.js.delete_consumer("TICKETING", consumer.name)
        await publish(bus, "b")
        await reader.has("a", "b")


async def test_what_a_broken_connection_was_carrying_is_read_again(bus, nats_url):
    async with open_bus(nats_url, "reader") as own, Reader(own, await end_of(bus)) as reader:
        await publish(bus, "a")
        await reader.has("a")
        await asyncio.sleep(0.05)  # it asks for the next one
        socket = own._client._transport._io_writer.transport
        socket.pause_reading()
        await publish(bus, "on its way")
        await asyncio.sleep(0.05)  # the server has sent it
        socket.abort()
        await publish(bus, "behind it")
        await reader.has("a", "on its way", "behind it")
        assert own.reconnects == 1


async def test_a_server_that_dies_again_and_again_costs_nothing(tmp_path):
    server = nats_server(free_port(), tmp_path)
    sent = []
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(running(server))
        async with open_bus(server.url, "test") as bus, Reader(bus, await end_of(bus)) as reader:
            for life in range(3):
                for i in range(20):
                    sent.append(f"{life}.{i}")
                    await publish(bus, sent[-1])
                lives = bus.reconnects
                process.kill()
                process.wait()
                process = stack.enter_context(running(server))
                await wait_until(lambda lives=lives: reconnected(bus, lives))
            await reader.has(*sent)
            assert reader.reached == sorted(reader.reached)


async def reconnected(bus, before):
    return bus.reconnects > before
