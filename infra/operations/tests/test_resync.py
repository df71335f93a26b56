"""The command that publishes the current state of aggregates again."""

from dataclasses import dataclass
from decimal import Decimal

import pytest

from ticketing_common.storage.documents import Documents
from ticketing_common.testing import published
from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.events import TicketUpdated
from ticketing_common.values.ids import new_id
from ticketing_operations.resync import publish as publish_module
from ticketing_operations.resync.command import main
from ticketing_operations.resync.publish import Source, resync


@dataclass(frozen=True, kw_only=True)
class Thing(Aggregate):
    title: str = ""


def events_of(thing):
    facts = {"title": thing.title, "price": Decimal(1), "user_id": "u"}
    return [TicketUpdated(id=thing.id, version=version, **facts) for version in range(thing.version + 1)]


THINGS = Source("things", "things", Thing, events_of)


@pytest.fixture
async def things(database, bus, mongo_uri, nats_url, monkeypatch):
    monkeypatch.setenv("MONGO_URI", mongo_uri)
    monkeypatch.setenv("NATS_URL", nats_url)
    stored = [Thing(id=new_id(), version=version) for version in (0, 1, 2)]
    for thing in stored:
        await Documents(database, "things", Thing).insert(thing)
    return stored


async def versions_in_stream(bus):
    events = [(event.id, event.version) for event in await published(bus, TicketUpdated)]
    return {identity: [version for other, version in events if other == identity] for identity, _ in events}


async def test_events_of_an_aggregate_are_published_again_even_if_the_stream_contains_them(things, bus):
    for event in events_of(things[2]):
        await bus.publish(event)
    assert await resync(THINGS, [things[2].id]) == 0
    assert await versions_in_stream(bus) == {things[2].id: [0, 1, 2, 0, 1, 2]}


async def test_all_aggregates_are_published_in_batches(things, bus, monkeypatch):
    monkeypatch.setattr(publish_module, "_BATCH", 2)
    assert await resync(THINGS, None) == 0
    assert await versions_in_stream(bus) == {thing.id: list(range(thing.version + 1)) for thing in things}


async def test_unknown_id_is_named_and_the_others_are_published(things, bus, capsys):
    assert await resync(THINGS, [things[0].id, "nobody"]) == 1
    assert "unknown: nobody" in capsys.readouterr().out
    assert await versions_in_stream(bus) == {things[0].id: [0]}


@pytest.mark.parametrize("arguments", [[], ["--all", "0" * 24]])
async def test_command_requires_either_ids_or_all(things, bus, arguments):
    with pytest.raises(SystemExit):
        await main(["orders", *arguments])
    assert await versions_in_stream(bus) == {}
