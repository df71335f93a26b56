"""Rebuilding: brings a restored database forward by what its service has published since, before it starts.

Followers drop a version that they have heard, so a change that the backup lacks must be known again before
anything else is changed; the stream has those of 7 days. Nothing is published here. Afterwards the service's
consumer is gone: the service makes it again as it starts, and hears the whole stream anew. docs/backups.md
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nats.js.errors import NotFoundError
from pydantic import ValidationError

from ticketing_common import mongo
from ticketing_common.aggregate import EarlierEventUnderWay
from ticketing_common.config import MongoSettings, NatsSettings, load
from ticketing_common.jetstream import STREAM, Bus, connected
from ticketing_common.listener import Handlers
from ticketing_common.logs import configure_logs
from ticketing_common.tail import Position, Stored, read

_BATCH = 256


class _Settings(MongoSettings, NatsSettings):
    pass


async def rebuild(service: str, handlers: Handlers, repository: Callable[[mongo.Database, Bus], Any]) -> int:
    """Hand every event in the stream to the handlers, then forget how far the service had heard it.

    Returns the exit status: 1 when there are events that could not be taken in, which are named.
    """
    settings = load(_Settings, f"{service}.rebuild")
    configure_logs("error", "console", f"{service}.rebuild")
    async with connected(
        settings.nats_url, f"{service}-rebuild", settings.nats_replicas, settings.nats_max_bytes
    ) as bus:
        left = await take_in(bus, handlers, repository(mongo.connect(settings.mongo_uri), bus))
        with contextlib.suppress(NotFoundError):
            await bus.js.delete_consumer(str(STREAM.name), service)
    for each in left:
        print(f"not taken in: {each.position} {each.subject} {each.data[:500].decode(errors='replace')}")
    print(
        f"{service} is {'NOT wholly ' if left else ''}rebuilt; when it starts it hears the whole stream again"
    )
    return 1 if left else 0


async def take_in(bus: Bus, handlers: Handlers, repository: Any) -> Sequence[Stored]:
    """Returns what does not parse, has no event before it in the stream, or contradicts what is kept."""
    subjects = [kind.subject for kind in handlers]
    position = Position.of(await bus.stream(), 0)
    left: Sequence[Stored] = []
    while subjects and (batch := await read(bus, subjects, position, _BATCH)):
        position = batch[-1].position
        left = [*left, *await _try(batch, handlers, repository)]
    while left and len(again := await _try(left, handlers, repository)) < len(left):
        left = again
    return left


async def _try(batch: Iterable[Stored], handlers: Handlers, repository: Any) -> list[Stored]:
    """Those of the batch that cannot be taken in, or not yet."""
    by_subject = {kind.subject: (kind, handler) for kind, handler in handlers.items()}
    left = []
    for stored in batch:
        kind, handler = by_subject[stored.subject]
        try:
            await handler(kind.model_validate_json(stored.data), repository)
        except (EarlierEventUnderWay, mongo.Duplicate, ValidationError):
            left.append(stored)
    return left
