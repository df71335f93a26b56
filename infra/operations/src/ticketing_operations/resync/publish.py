"""Publishes the current state of aggregates again: the part that all services share."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ticketing_common.config import load_settings
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus, open_bus
from ticketing_common.observability.logs import configure_logs
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE, connect
from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.events import Event
from ticketing_operations.settings import StoreSettings

_BATCH = 256

A = TypeVar("A", bound=Aggregate)


@dataclass(frozen=True)
class Source(Generic[A]):
    """The aggregates of a service, and the events that publish the state of one."""

    service: str
    collection: str
    kind: type[A]
    events_of: Callable[[A], Sequence[Event]]
    """In the order of publication."""


async def resync(source: Source[A], ids: Sequence[str] | None) -> int:
    """Publishes these aggregates, or all. Returns the exit status: 1 if an id is unknown or a store is down."""
    settings = load_settings(StoreSettings, f"resync {source.service}")
    configure_logs("error", "console", f"resync {source.service}")
    database = connect(settings.mongo_uri)
    found: set[str] = set()
    events = 0
    try:
        async with open_bus(
            settings.nats_url, f"{source.service}-resync", settings.nats_replicas, settings.nats_max_bytes
        ) as bus:
            async for batch in _read(Documents(database, source.collection, source.kind), ids):
                events_of_batch = [source.events_of(aggregate) for aggregate in batch]
                await asyncio.gather(*(_publish(bus, each) for each in events_of_batch))
                found |= {aggregate.id for aggregate in batch} if ids else set()
                events += sum(map(len, events_of_batch))
    except (*MONGO_UNAVAILABLE, *NATS_UNAVAILABLE) as error:
        print(f"{events} events published, then a store was down. Run the command again: {error!r}")
        return 1
    finally:
        database.client.close()
    unknown = sorted(set(ids or ()) - found)
    for each in unknown:
        print(f"unknown: {each}")
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
    """Publish the events of one aggregate in order, without ids, so that JetStream does not drop them."""
    for event in events:
        await bus.publish_raw(event.subject, event.model_dump_json(by_alias=True).encode())
