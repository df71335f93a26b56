"""Applies the events in the stream to a restored database, before its service starts.

Consumers drop versions that they have already applied, so the database must contain every published change
before the service publishes another one. The stream keeps the events of 7 days. A rebuild publishes nothing.
At the end it deletes the durable consumer of the service, so that the service creates it again and consumes
the whole stream: docs/backups.md.
"""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from nats.js.errors import NotFoundError
from pydantic import ValidationError

from ticketing_common.config import load_settings
from ticketing_common.messaging.bus import STREAM, Bus
from ticketing_common.messaging.listener import Handlers
from ticketing_common.messaging.stream_reader import Position, StoredMessage, read_messages
from ticketing_common.observability.logs import configure_logs
from ticketing_common.storage.documents import DuplicateDocument
from ticketing_common.storage.mongo import Database, connect
from ticketing_common.values.aggregate import EarlierEventMissing
from ticketing_operations.settings import StoreSettings, open_command_bus

_BATCH = 256


async def rebuild(service: str, handlers: Handlers, open_repository: Callable[[Database, Bus], Any]) -> int:
    """Applies every event in the stream, then deletes the durable consumer of the service.

    Prints the events that cannot be applied. Returns the exit status, 1 if there are any.
    """
    settings = load_settings(StoreSettings, f"rebuild {service}")
    configure_logs("error", "console", f"rebuild {service}")
    async with open_command_bus(settings, f"{service}-rebuild") as bus:
        failed = await apply_events(bus, handlers, open_repository(connect(settings.mongo_uri), bus))
        with contextlib.suppress(NotFoundError):
            await bus.js.delete_consumer(str(STREAM.name), service)
    for each in failed:
        print(f"not applied: {each.position} {each.subject} {each.data[:500].decode(errors='replace')}")
    state = "NOT completely rebuilt" if failed else "rebuilt"
    print(f"{service} is {state}; it consumes the whole stream when it starts")
    return 1 if failed else 0


async def apply_events(bus: Bus, handlers: Handlers, repository: Any) -> Sequence[StoredMessage]:
    """Returns the events that cannot be applied: invalid ones, duplicates, or without an earlier event."""
    subjects = [kind.subject for kind in handlers]
    position = Position.of(await bus.stream_info(), 0)
    failed: Sequence[StoredMessage] = []
    while subjects and (batch := await read_messages(bus, subjects, position, _BATCH)):
        position = batch[-1].position
        failed = [*failed, *await _apply(batch, handlers, repository)]
    while failed and len(still_failed := await _apply(failed, handlers, repository)) < len(failed):
        failed = still_failed
    return failed


async def _apply(batch: Iterable[StoredMessage], handlers: Handlers, repository: Any) -> list[StoredMessage]:
    """Applies the batch. Returns the events that cannot be applied, or not yet."""
    by_subject = {kind.subject: (kind, handler) for kind, handler in handlers.items()}
    failed = []
    for stored in batch:
        kind, handler = by_subject[stored.subject]
        try:
            await handler(kind.model_validate_json(stored.data), repository)
        except (EarlierEventMissing, DuplicateDocument, ValidationError):
            failed.append(stored)
    return failed
