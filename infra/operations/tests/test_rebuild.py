"""Rebuilding a database from the stream: events in any order, and events that cannot be applied."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from nats.js.api import ConsumerConfig
from nats.js.errors import NotFoundError

from ticketing_common.messaging.bus import STREAM
from ticketing_common.messaging.listener import Handlers
from ticketing_common.storage.documents import Documents
from ticketing_common.testing import published
from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.events import TicketCreated, TicketUpdated
from ticketing_common.values.ids import new_id
from ticketing_operations.rebuild import replay as replay_module
from ticketing_operations.rebuild.replay import rebuild


@dataclass(frozen=True, kw_only=True)
class Thing(Aggregate):
    title: str


async def on_change(event, things):
    await things.apply_change(event.id, event.version, lambda _: Thing(id=event.id, title=event.title))


HANDLERS: Handlers = {TicketCreated: on_change, TicketUpdated: on_change}


async def test_events_are_applied_unless_an_earlier_one_is_missing_and_the_consumer_is_deleted(
    database, mongo_uri, nats_url, bus, monkeypatch, capsys
):
    monkeypatch.setattr(replay_module, "_BATCH", 3)
    monkeypatch.setenv("MONGO_URI", mongo_uri)
    monkeypatch.setenv("NATS_URL", nats_url)
    things = Documents(database, "things", Thing)
    known, new, orphan = new_id(), new_id(), new_id()
    await things.insert(Thing(id=known, version=1, title="1"))

    async def publish(thing_id, *versions):
        for version in versions:
            kind = TicketUpdated if version else TicketCreated
            facts = {"title": str(version), "price": Decimal(1), "user_id": "u"}
            await bus.publish(kind(id=thing_id, version=version, **facts))

    await publish(known, 0, 1, 3, 2)
    await publish(orphan, 2)
    await publish(new, 2, *range(3, 10), 1, 0)
    await bus.publish_raw(TicketUpdated.subject, b"{")
    await bus.js.add_consumer(str(STREAM.name), ConsumerConfig(durable_name="things"))
    count = len(await published(bus, TicketCreated))

    assert await rebuild("things", HANDLERS, lambda database, _: Documents(database, "things", Thing)) == 1
    assert (await things.find(id=known)) == Thing(id=known, version=3, title="3")
    assert (await things.find(id=new)) == Thing(id=new, version=9, title="9")
    assert await things.find(id=orphan) is None
    printed = capsys.readouterr().out.splitlines()
    assert [line.partition(" ")[0] for line in printed] == ["not", "not", "things"]
    assert orphan in printed[0]
    assert "NOT completely" in printed[2]
    assert len(await published(bus, TicketCreated)) == count
    with pytest.raises(NotFoundError):
        await bus.js.consumer_info(str(STREAM.name), "things")
