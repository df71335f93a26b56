"""Resynchronising: publishes the present state of aggregates anew, for a follower that lost an event.

    MONGO_URI=... NATS_URL=... python -m <service>.resync ID [ID ...]
    MONGO_URI=... NATS_URL=... python -m <service>.resync --all

Safe at any time, also while the service runs: followers drop what they have already.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from ticketing_common import jetstream, mongo
from ticketing_common.aggregate import Aggregate
from ticketing_common.config import MongoSettings, NatsSettings, load
from ticketing_common.events import Event
from ticketing_common.jetstream import Bus, connected
from ticketing_common.logs import configure_logs

_BATCH = 256

A = TypeVar("A", bound=Aggregate)


class _Settings(MongoSettings, NatsSettings):
    pass


@dataclass(frozen=True)
class Source(Generic[A]):
    """The aggregates of a service, and the events that describe one."""

    service: str
    collection: str
    kind: type[A]
    events_of: Callable[[A], Sequence[Event]]
    """In the order in which they are to be published."""


async def resync(source: Source[A], arguments: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status: 1 if an id is unknown or a store is down."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {source.service}.resync", description="Publish the present state of aggregates anew."
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("ids", nargs="*", metavar="ID", default=[], help="which ones")
    chosen.add_argument("--all", action="store_true", help="every one that the service has")
    ids: list[str] | None = None if (asked := parser.parse_args(arguments)).all else asked.ids
    settings = load(_Settings, f"{source.service}.resync")
    configure_logs("error", "console", f"{source.service}.resync")
    database = mongo.connect(settings.mongo_uri)
    found: set[str] = set()
    events = 0
    try:
        async with connected(
            settings.nats_url, f"{source.service}-resync", settings.nats_replicas, settings.nats_max_bytes
        ) as bus:
            async for batch in _read(mongo.Documents(database, source.collection, source.kind), ids):
                described = [source.events_of(aggregate) for aggregate in batch]
                await asyncio.gather(*(_publish(bus, each) for each in described))
                found |= {aggregate.id for aggregate in batch} if ids else set()
                events += sum(map(len, described))
    except (*mongo.DOWN, *jetstream.DOWN) as error:
        print(f"{events} events published, then a store failed; run it again: {error!r}")
        return 1
    finally:
        database.client.close()
    unknown = sorted(set(ids or ()) - found)
    for each in unknown:
        print(f"unknown: {each}")
    print(f"{events} events published")
    return 1 if unknown else 0


async def _read(documents: mongo.Documents[A], ids: Sequence[str] | None) -> AsyncIterator[list[A]]:
    """The aggregates with these ids, or all, a batch at a time."""
    criteria = {} if ids is None else {"_id": {"$in": list(ids)}}
    last = ""
    while batch := await documents.page(criteria, _BATCH, after=last):
        yield batch
        last = batch[-1].id


async def _publish(bus: Bus, events: Sequence[Event]) -> None:
    """Publish the events of one aggregate in order, without ids, so that JetStream does not drop them."""
    for event in events:
        await bus.publish_raw(event.subject, event.model_dump_json(by_alias=True).encode())
