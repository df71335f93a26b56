"""From a document's outbox through the stream to a handler, on a real MongoDB and NATS."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from prometheus_client import REGISTRY

from ticketing_common.messaging import listener as listening
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus
from ticketing_common.messaging.dead_letters import DeadLetters
from ticketing_common.messaging.listener import Listener, redelivery_delay
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage.documents import DocumentNotFound, Documents, DuplicateDocument
from ticketing_common.storage.outbox import Outbox
from ticketing_common.testing import published, wait_until
from ticketing_common.testing.events import empty_stream
from ticketing_common.testing.jobs import running_job
from ticketing_common.values.aggregate import Aggregate, EarlierEventMissing, is_next_version
from ticketing_common.values.clock import now
from ticketing_common.values.events import TicketCreated
from ticketing_common.values.ids import new_id
from ticketing_operations.dead_letters import list_dead_letters, replay_dead_letters


@dataclass(frozen=True, kw_only=True)
class Thing(Aggregate):
    title: str


def announce(thing: Thing) -> TicketCreated:
    return TicketCreated(id=thing.id, version=thing.version, title=thing.title, price=Decimal(1), user_id="u")


def things(database, relay):
    return Documents(database, "things", Thing, outbox=relay and relay.outbox, event_of=announce)


async def reads(metric, value, **labels):
    """Wait until the metric has this value."""

    async def so():
        return REGISTRY.get_sample_value(metric, labels) == value

    await wait_until(so)


async def test_what_is_written_is_published_in_order_and_leaves_the_outbox(database, bus):
    relay = Relay(Outbox(), bus)
    documents = things(database, relay)
    thing = Thing(id=new_id(), title="a")
    async with running_job(relay.run):
        await documents.insert(thing)
        await documents.change(lambda t: t.evolve(title="b"), id=thing.id)
        await documents.change(lambda t: t.evolve(title="b"), id=thing.id)  # nothing to write

        async def emptied():
            return not (await database["things"].find_one({"_id": thing.id}))["outbox"]

        await wait_until(emptied)
    assert [(e.version, e.title) for e in await published(bus, TicketCreated)] == [(0, "a"), (1, "b")]


async def test_what_a_crash_left_in_an_outbox_is_swept(database, bus):
    await things(database, Relay(Outbox(), bus)).insert(
        Thing(id=new_id(), title="left")
    )  # a relay that never runs
    assert await published(bus, TicketCreated) == []
    relay = Relay(Outbox(), bus)
    documents = things(database, relay)
    await documents.ensure_indexes()
    async with running_job(relay.run):
        await wait_until(lambda: published(bus, TicketCreated))
    plan = await database.command(
        "explain", {"find": "things", "filter": {"outbox.0": {"$exists": True}, "outbox.at": {"$lt": 1}}}
    )
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])


async def test_what_cannot_be_published_is_told_by_its_age(database, bus):
    relay = Relay(Outbox(), Bus("nats://127.0.0.1:9", "nobody"))
    documents = things(database, relay)
    await documents.insert(Thing(id=new_id(), title="waits"))
    long_ago = now() - timedelta(minutes=2)
    await database["things"].update_one({}, {"$set": {"outbox.0.at": long_ago}})
    with pytest.raises(NATS_UNAVAILABLE):
        await relay._sweep(documents.collection)
    assert 120 <= REGISTRY.get_sample_value("ticketing_outbox_oldest_seconds", {"collection": "things"}) < 150
    relay = Relay(Outbox(), bus)
    things(database, relay)
    async with running_job(relay.run):
        await reads("ticketing_outbox_oldest_seconds", 0, collection="things")


async def test_changes_at_once_are_each_one_version(database, bus):
    documents = things(database, None)
    thing = Thing(id=new_id(), title="")
    await documents.insert(thing)
    await asyncio.gather(
        *(documents.change(lambda t, i=i: t.evolve(title=t.title + str(i)), id=thing.id) for i in range(9))
    )
    end = await documents.find(id=thing.id)
    assert (end.version, sorted(end.title)) == (9, list("012345678"))


async def test_a_second_insert_and_a_change_of_nothing_say_so(database):
    documents = things(database, None)
    thing = Thing(id=new_id(), title="a")
    await documents.insert(thing)
    with pytest.raises(DuplicateDocument):
        await documents.insert(thing)
    with pytest.raises(DocumentNotFound):
        await documents.change(lambda t: t, id="unknown")


async def test_totals_count_and_sum_what_is_asked_for(database):
    documents = things(database, None)
    for title, version in [("a", 1), ("a", 2), ("b", 5), ("c", 9)]:
        await documents.insert(Thing(id=new_id(), title=title, version=version))
    asked = {"title": {"$in": ["a", "b", "d"]}}
    assert await documents.sum_by(asked, by="title", of="version") == {"a": (2, 3), "b": (1, 5)}


@pytest.mark.parametrize(
    ("event", "copy", "applies"), [(0, -1, True), (1, 0, True), (0, 0, False), (1, 5, False)]
)
def test_the_next_version_applies_and_an_older_one_is_a_duplicate(event, copy, applies):
    assert is_next_version(event, copy) is applies


def test_a_gap_between_versions_is_put_back():
    with pytest.raises(EarlierEventMissing):
        is_next_version(2, 0)


def test_what_is_put_back_comes_again_soon_then_ever_more_slowly():
    assert [redelivery_delay(n) for n in (1, 2, 3, 20)] == [0.05, 0.1, 0.2, 30.0]


class Inbox:
    """A handler that remembers, and fails as often as it is told to."""

    def __init__(self, failures: int = 0, error: type[Exception] = RuntimeError) -> None:
        self.titles: list[str] = []
        self._failures, self._error = failures, error

    async def __call__(self, event: TicketCreated, _repository: object) -> None:
        if self._failures:
            self._failures -= 1
            raise self._error("told to")
        self.titles.append(event.title)


def listener(bus, database, inbox):
    return Listener(bus, "test", {TicketCreated: inbox}, None, DeadLetters(database))


async def all_letters(letters):
    return [letter async for letter in letters.read(await letters.ids())]


async def publish(bus, title):
    await bus.publish(TicketCreated(id=new_id(), version=0, title=title, price=Decimal(1), user_id="u"))


@pytest.mark.parametrize("error", [RuntimeError, EarlierEventMissing])
async def test_what_a_handler_cannot_take_yet_comes_again(bus, database, error):
    inbox = Inbox(failures=3, error=error)
    async with running_job(listener(bus, database, inbox).run):
        await publish(bus, "a")

        async def handled():
            return inbox.titles == ["a"]

        await wait_until(handled)


async def test_the_same_event_published_twice_is_one_message(bus, database):
    event = TicketCreated(id=new_id(), version=0, title="a", price=Decimal(1), user_id="u")
    await bus.publish(event)
    await bus.publish(event)
    assert len(await published(bus, TicketCreated)) == 1


async def test_emptying_the_stream_does_not_make_it_anew(bus):
    born = (await bus.js.stream_info("TICKETING")).created
    await bus.publish(TicketCreated(id=new_id(), version=0, title="left over", price=Decimal(1), user_id="u"))
    await bus.js.pull_subscribe("ticket.created", durable="left-over")
    assert len(await published(bus, TicketCreated)) == 1
    await empty_stream(bus)
    assert await published(bus, TicketCreated) == []
    assert await bus.js.consumers_info("TICKETING") == []
    # A stream deleted and made again may find its directory still being removed, and is then refused.
    assert (await bus.js.stream_info("TICKETING")).created == born


async def test_poison_is_kept_with_its_reason_and_blocks_nothing(bus, database, nats_url, capsys):
    inbox, letters = Inbox(), DeadLetters(database)
    async with running_job(listener(bus, database, inbox).run):
        await bus.publish_raw("ticket.created", b"\xff{ no event")
        await publish(bus, "behind it")

        async def both():
            return inbox.titles == ["behind it"] and await all_letters(letters)

        await wait_until(both)
        (letter,) = await all_letters(letters)
        assert (letter.subject, letter.data, letter.reason) == (
            "ticket.created",
            b"\xff{ no event",
            "does not parse",
        )
        assert await list_dead_letters(letters) == 1
        assert "does not parse" in capsys.readouterr().out
        # A replay_dead_letters is another delivery: still poison, it is kept anew and not lost.
        assert await replay_dead_letters(letters, nats_url, [letter.id]) == 1

        async def kept_anew():
            page = await all_letters(letters)
            return len(page) == 1 and page[0].id != letter.id

        await wait_until(kept_anew)


async def test_secrets_are_hidden_in_the_detail_of_a_dead_letter(bus, database):
    letters = DeadLetters(database)
    subscription = await bus.js.pull_subscribe("ticket.created", durable="other")
    await publish(bus, "poison")
    (message,) = await subscription.fetch(1, timeout=5)
    error = repr(ValueError("dup key: ann@example.com password='hunter2' sk_live_abc123"))
    await letters.store(message, "its handler failed", error)
    (letter,) = await all_letters(letters)
    assert letter.detail == """ValueError("dup key: a***@example.com password='***' sk_live_***")"""


async def test_detail_of_a_message_that_does_not_parse_does_not_contain_its_values(bus, database):
    letters = DeadLetters(database)
    async with running_job(listener(bus, database, Inbox()).run):
        await bus.publish_raw("ticket.created", b'{"id": {"a value": 1}, "version": "another value"}')
        (letter,) = await wait_until(lambda: all_letters(letters))
    assert "version" in letter.detail
    assert "value" not in letter.detail


async def test_a_replayed_letter_that_can_be_handled_by_now_is_handled(bus, database, nats_url):
    inbox, letters = Inbox(), DeadLetters(database)
    event = TicketCreated(id=new_id(), version=0, title="late", price=Decimal(1), user_id="u")
    await bus.publish(event)
    subscription = await bus.js.pull_subscribe("ticket.created", durable="other")
    (message,) = await subscription.fetch(1, timeout=5)
    await letters.store(message, "its handler failed", "a bug of yesterday")
    await message.ack()
    await bus.js.purge_stream("TICKETING")
    async with running_job(listener(bus, database, inbox).run):
        assert await replay_dead_letters(letters, nats_url, []) == 1

        async def handled():
            return inbox.titles == ["late"]

        await wait_until(handled)
    assert await all_letters(letters) == []


async def test_what_waits_is_measured_and_what_a_command_takes_away(bus, database, nats_url, monkeypatch):
    monkeypatch.setattr(listening, "_MEASURE_EVERY", 0.05)
    free, letters = asyncio.Event(), DeadLetters(database)
    event = TicketCreated(id=new_id(), version=0, title="late", price=Decimal(1), user_id="u")
    await database["dead_letters"].insert_one(
        {"_id": "1", "subject": event.subject, "data": event.model_dump_json(by_alias=True).encode()}
        | {"trace": None, "reason": "its handler failed", "detail": "", "at": now()}
    )

    async def hold(_event, _repository):
        await free.wait()

    async with running_job(listener(bus, database, hold).run):
        await reads("ticketing_dead_letters_kept", 1)
        await publish(bus, "a")
        await publish(bus, "b")
        await reads("ticketing_events_waiting", 2)
        free.set()
        await replay_dead_letters(letters, nats_url, [])
        await reads("ticketing_dead_letters_kept", 0)
        await reads("ticketing_events_waiting", 0)


async def test_a_bus_out_of_reach_may_be_behind():
    assert await Bus("nats://127.0.0.1:9", "nobody").is_behind()


async def test_who_does_not_listen_yet_may_be_behind(bus):
    assert await bus.is_behind()
