"""The commands that list dead letters and replay them."""

from datetime import timedelta
from decimal import Decimal

from prometheus_client import REGISTRY

from ticketing_common.messaging import listener as listener_module
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.messaging.listener import Listener
from ticketing_common.testing import wait_until
from ticketing_common.testing.jobs import running_job
from ticketing_common.values.clock import now
from ticketing_common.values.events import TicketCreated
from ticketing_common.values.ids import new_id
from ticketing_operations.dead_letters import list_dead_letters, main, replay_dead_letters


def dead_letter(identity, at, data=b"{}", subject="order.created"):
    letter = {"_id": identity, "subject": subject, "data": data, "trace": None, "at": at}
    return letter | {"reason": "its handler failed", "detail": "a bug"}


async def read_all(letters):
    return [letter async for letter in letters.read(await letters.ids())]


async def test_all_of_many_dead_letters_are_listed_and_replayed(database, bus, capsys):
    letters, moment = DeadLetters(database), now()
    await database["dead_letters"].insert_many(
        [dead_letter(str(n), moment + timedelta(seconds=n), b"%d" % n) for n in range(1_020)]
    )
    assert await list_dead_letters(letters) == 1_020
    assert "1020 dead letters" in capsys.readouterr().out
    assert await replay_dead_letters(letters, bus, ["1019", "unknown"]) == 1
    assert (await bus.js.get_last_msg("TICKETING", "order.created")).data == b"1019"
    await database["dead_letters"].delete_many({"at": {"$lt": moment + timedelta(seconds=1_010)}})
    assert await replay_dead_letters(letters, bus, []) == 9
    assert await letters.count() == 0


async def test_replayed_event_is_handled_and_no_longer_measured_as_a_dead_letter(database, bus, monkeypatch):
    monkeypatch.setattr(listener_module, "_MEASURE_EVERY", 0.05)
    letters, titles = DeadLetters(database), []
    event = TicketCreated(id=new_id(), version=0, title="late", price=Decimal(1), user_id="u")
    await bus.publish(event)
    await bus.js.purge_stream("TICKETING")  # the server still drops duplicates of the event by its id
    data = event.model_dump_json(by_alias=True).encode()
    await database["dead_letters"].insert_one(dead_letter("1", now(), data, event.subject))

    async def handle(event, _repository):
        titles.append(event.title)

    async def is_handled():
        return titles == ["late"]

    def count_measured(expected):
        async def is_measured():
            return REGISTRY.get_sample_value("ticketing_dead_letters_kept") == expected

        return is_measured

    async with running_job(Listener(bus, "test", {TicketCreated: handle}, None, letters).run):
        await wait_until(count_measured(1))
        assert await replay_dead_letters(letters, bus, []) == 1
        await wait_until(is_handled)
        await wait_until(count_measured(0))
    assert await read_all(letters) == []


async def test_replayed_message_that_still_does_not_parse_becomes_a_new_dead_letter(database, bus, capsys):
    letters = DeadLetters(database)

    async def handle(_event, _repository):
        raise AssertionError("the message does not parse")

    async with running_job(Listener(bus, "test", {TicketCreated: handle}, None, letters).run):
        await bus.publish_raw("ticket.created", b"\xff{ no event")
        (letter,) = await wait_until(lambda: read_all(letters))
        assert await list_dead_letters(letters) == 1
        assert "does not parse" in capsys.readouterr().out
        assert await replay_dead_letters(letters, bus, [letter.id]) == 1

        async def is_stored_again():
            found = await read_all(letters)
            return len(found) == 1 and found[0].id != letter.id

        await wait_until(is_stored_again)


async def test_commands_list_and_replay_the_dead_letters_of_a_database(
    database, bus, mongo_uri, nats_url, monkeypatch, capsys
):
    monkeypatch.setenv("MONGO_URI", mongo_uri)
    monkeypatch.setenv("NATS_URL", nats_url)
    await database["dead_letters"].insert_one(dead_letter("1", now(), b"a letter"))
    assert await main(["list"]) == 0
    assert "a letter" in capsys.readouterr().out
    assert await main(["replay", "unknown"]) == 1
    assert await main(["replay"]) == 0
    assert (await bus.js.get_last_msg("TICKETING", "order.created")).data == b"a letter"
    assert await DeadLetters(database).count() == 0
