"""Documents with outboxes, and the events that a relay publishes from them."""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.relay import Relay
from ticketing_common.storage.documents import Documents
from ticketing_common.testing import published, wait_until
from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.events import TicketUpdated


@dataclass(frozen=True, kw_only=True)
class Thing(Aggregate):
    title: str = ""


def retitle(title: str) -> Callable[[Thing], Thing]:
    return lambda thing: thing.evolve(title=title)


def event_of(thing: Thing) -> TicketUpdated:
    facts = {"title": thing.title, "price": Decimal(1), "user_id": "u"}
    return TicketUpdated(id=thing.id, version=thing.version, **facts)


def open_things(database: Any, relay: Relay) -> Documents[Thing]:
    """The documents of the collection `things`, whose events this relay publishes."""
    return Documents(database, "things", Thing, outbox=relay.outbox, event_of=event_of)


async def count_unpublished(database: Any) -> int:
    """The number of documents with unpublished events."""
    count: int = await database["things"].count_documents({"outbox.0": {"$exists": True}})
    return count


async def wait_until_published(database: Any, seconds: float = 20.0) -> None:
    async def is_published() -> bool:
        return not await count_unpublished(database)

    await wait_until(is_published, seconds)


async def versions_in_stream(bus: Bus) -> dict[str, list[int]]:
    """The versions of each aggregate in the order of the stream, without repetitions."""
    versions: dict[str, list[int]] = {}
    for event in await published(bus, TicketUpdated):
        found = versions.setdefault(event.id, [])
        if event.version not in found:
            found.append(event.version)
    return versions
