"""The helpers for events in tests."""

from decimal import Decimal

from ticketing_common.testing import published
from ticketing_common.testing.events import empty_stream
from ticketing_common.values.events import TicketCreated
from ticketing_common.values.ids import new_id


async def test_emptying_the_stream_deletes_events_and_consumers_but_not_the_stream(bus):
    created = (await bus.js.stream_info("TICKETING")).created
    await bus.publish(TicketCreated(id=new_id(), version=0, title="old", price=Decimal(1), user_id="u"))
    await bus.js.pull_subscribe("ticket.created", durable="old")
    assert len(await published(bus, TicketCreated)) == 1
    await empty_stream(bus)
    assert await published(bus, TicketCreated) == []
    assert await bus.js.consumers_info("TICKETING") == []
    # The server rejects a new stream while it still removes the folder of a deleted one.
    assert (await bus.js.stream_info("TICKETING")).created == created
