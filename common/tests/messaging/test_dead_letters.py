"""Dead letters: their identity, order and content, and the count of failures."""

from datetime import timedelta

from nats.js.api import ConsumerConfig

from ticketing_common.messaging.bus import open_bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.testing.servers import free_port, nats_server, running
from ticketing_common.values.clock import now

from .replicas import read_all


async def publish_and_receive(bus, data):
    """Publishes this. Returns the message that the stream delivers."""
    await bus.js.add_consumer("TICKETING", ConsumerConfig(durable_name="orders"))
    subscription = await bus.js.pull_subscribe_bind(durable="orders", stream="TICKETING")
    await bus.publish_raw("order.created", data)
    (message,) = await subscription.fetch(1, 5)
    await message.ack()
    return message


async def test_dead_letter_does_not_replace_one_of_an_earlier_stream(database, tmp_path):
    letters = DeadLetters(database)
    for data in (b"of the first stream", b"of the second stream"):
        server = nats_server(free_port(), tmp_path / data.decode())
        with running(server):
            async with open_bus(server.url, "test") as bus:
                message = await publish_and_receive(bus, data)
                assert message.metadata.sequence.stream == 1
                await letters.store(message, "does not parse", "")
                await letters.store(message, "does not parse", "stored twice")
    assert [letter.data for letter in await read_all(letters)] == [
        b"of the first stream",
        b"of the second stream",
    ]


async def test_dead_letters_are_ordered_by_time_and_sequence_number(database, letters):
    moment = now()
    for identity, at in [
        ("10", moment),  # the ids of old dead letters are only the sequence number
        ("9", moment),
        ("100", moment - timedelta(hours=1)),
        ("20261126T120000.000001Z-11", moment),
        ("20261126T120000.000001Z-2", moment + timedelta(hours=1)),
    ]:
        letter = {"_id": identity, "subject": "order.created", "data": b"{}", "trace": None, "at": at}
        await database["dead_letters"].insert_one(letter | {"reason": "its handler failed", "detail": ""})
    assert [letter.id for letter in await read_all(letters)] == [
        *("100", "9", "10", "20261126T120000.000001Z-11", "20261126T120000.000001Z-2"),
    ]


async def test_secrets_are_hidden_in_the_detail_of_a_dead_letter(bus, letters):
    message = await publish_and_receive(bus, b"{}")
    error = repr(ValueError("dup key: ann@example.com password='hunter2' sk_live_abc123"))
    await letters.store(message, "its handler failed", error)
    (letter,) = await read_all(letters)
    assert letter.detail == """ValueError("dup key: a***@example.com password='***' sk_live_***")"""


async def test_failures_are_counted_for_each_message_over_all_replicas_and_expire(database, bus):
    message, other = await publish_and_receive(bus, b"{}"), await publish_and_receive(bus, b"{}")
    counts = [await DeadLetters(database).count_failure(message) for _ in range(3)]
    assert counts == [1, 2, 3]
    assert await DeadLetters(database).count_failure(other) == 1
    indexes = await database["delivery_failures"].index_information()
    assert indexes["at_1"]["expireAfterSeconds"] == 7 * 24 * 3600
