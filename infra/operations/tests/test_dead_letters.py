"""Dead letters: each is kept apart, listed in order, and replayed, however many there are."""

from datetime import timedelta

from nats.js.api import ConsumerConfig

from ticketing_common.messaging.bus import open_bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.testing.servers import free_port, nats_server, running
from ticketing_common.values.clock import now
from ticketing_operations.dead_letters import list_dead_letters, replay_dead_letters


async def received(bus, data):
    """The message that the stream makes of this."""
    await bus.js.add_consumer("TICKETING", ConsumerConfig(durable_name="orders"))
    subscription = await bus.js.pull_subscribe_bind(durable="orders", stream="TICKETING")
    await bus.publish_raw("order.created", data)
    (message,) = await subscription.fetch(1, 5)
    await message.ack()
    return message


async def all_letters(letters):
    return [letter async for letter in letters.read(await letters.ids())]


def old_letter(identity, at, data=b"{}"):
    """As kept before letters were identified by time and number."""
    return {
        "_id": identity,
        "subject": "order.created",
        "data": data,
        "trace": None,
        "reason": "its handler failed",
        "detail": "",
        "at": at,
    }


async def test_letter_of_a_stream_that_was_created_anew_does_not_replace_another(database, tmp_path):
    letters = DeadLetters(database)
    for data in (b"of the first stream", b"of the second stream"):
        server = nats_server(free_port(), tmp_path / data.decode())
        with running(server):
            async with open_bus(server.url, "test") as bus:
                message = await received(bus, data)
                assert message.metadata.sequence.stream == 1
                await letters.store(message, "does not parse", "")
                await letters.store(message, "does not parse", "kept twice")
    assert [letter.data for letter in await all_letters(letters)] == [
        b"of the first stream",
        b"of the second stream",
    ]


async def test_letters_are_ordered_by_time_and_number(database):
    letters, moment = DeadLetters(database), now()
    for identity, at in [
        ("10", moment),
        ("9", moment),
        ("100", moment - timedelta(hours=1)),
        ("20261126T120000.000001Z-11", moment),
        ("20261126T120000.000001Z-2", moment + timedelta(hours=1)),
    ]:
        await database["dead_letters"].insert_one(old_letter(identity, at))
    assert [letter.id for letter in await all_letters(letters)] == [
        *("100", "9", "10", "20261126T120000.000001Z-11", "20261126T120000.000001Z-2"),
    ]


async def test_all_of_many_letters_are_listed_and_replayed(database, bus, nats_url, capsys):
    letters, moment = DeadLetters(database), now()
    await database["dead_letters"].insert_many(
        [old_letter(str(n), moment + timedelta(seconds=n), b"%d" % n) for n in range(1_020)]
    )
    assert await list_dead_letters(letters) == 1_020
    assert "1020 dead letters" in capsys.readouterr().out
    assert await replay_dead_letters(letters, nats_url, ["1019", "unknown"]) == 1
    assert (await bus.js.get_last_msg("TICKETING", "order.created")).data == b"1019"
    await database["dead_letters"].delete_many({"at": {"$lt": moment + timedelta(seconds=1_010)}})
    assert await replay_dead_letters(letters, nats_url, []) == 9
    assert await letters.count() == 0


async def test_failures_of_a_message_are_counted_together_and_forgotten_in_time(database, bus):
    message, other = await received(bus, b"{}"), await received(bus, b"{}")
    counts = [await DeadLetters(database).count_failure(message) for _ in range(3)]
    assert counts == [1, 2, 3]
    assert await DeadLetters(database).count_failure(other) == 1
    indexes = await database["delivery_failures"].index_information()
    assert indexes["at_1"]["expireAfterSeconds"] == 7 * 24 * 3600
