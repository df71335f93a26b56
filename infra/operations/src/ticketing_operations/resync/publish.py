"""Publishes events of the current state of aggregates, for any service."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ticketing_common.config import load_settings
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus
from ticketing_common.observability.logs import configure_logs
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE, connect
from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.events import Event
from ticketing_operations.settings import StoreSettings, open_command_bus

_BATCH = 256

A = TypeVar("A", bound=Aggregate)


@dataclass(frozen=True)
class Source(Generic[A]):
    """Where the aggregates of a service are stored, and which events publish the state of one."""

    service: str
    collection: str
    kind: type[A]
    events_of: Callable[[A], Sequence[Event]]
    """In the order of publication."""


async def resync(source: Source[A], ids: Sequence[str] | None) -> int:
    """Publishes these aggregates, or all. Returns the exit status.

    The status is 1 if an id is unknown or a store is unavailable.
    """
    settings = load_settings(StoreSettings, f"resync {source.service}")
    configure_logs("error", "console", f"resync {source.service}")
    database = connect(settings.mongo_uri)
    found: set[str] = set()
    events = 0
    try:
        async with open_command_bus(settings, f"{source.service}-resync") as bus:
            async for batch in _read(Documents(database, source.collection, source.kind), ids):
                events_of_batch = [source.events_of(aggregate) for aggregate in batch]
                await asyncio.gather(*(_publish(bus, each) for each in events_of_batch))
                found |= {aggregate.id for aggregate in batch} if ids else set()
                events += sum(map(len, events_of_batch))
    except (*MONGO_UNAVAILABLE, *NATS_UNAVAILABLE) as error:
        print(f"{events} events published, then a store was unavailable. Run the command again: {error!r}")
        return 1
    finally:
        database.client.close()
    unknown = sorted(set(ids or ()) - found)
    for identity in unknown:
        print(f"unknown: {identity}")
    print(f"{events} events published")
    return 1 if unknown else 0


async def _read(documents: Documents[A], ids: Sequence[str] | None) -> AsyncIterator[list[A]]:
    """The aggregates with these ids, or all, a batch at a time."""
    criteria = {} if ids is None else {"_id": {"$in": list(ids)}}
    last = ""
    while batch := await documents.find_page(criteria, _BATCH, after=last):
        yield batch
        last = batch[-1].id


async def _publish(bus: Bus, events: Sequence[Event]) -> None:
    """Publishes the events of one aggregate in order, without ids, so that JetStream drops none."""
    for event in events:
        await bus.publish_raw(event.subject, event.model_dump_json(by_alias=True).encode())
