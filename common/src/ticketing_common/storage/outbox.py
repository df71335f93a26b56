"""The transactional outbox: events stored in the document whose change causes them, until they are published.

https://microservices.io/patterns/data/transactional-outbox.html, with the outbox inside the aggregate's
document, so that one write commits both and no transaction is needed. `messaging.relay` publishes.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import IndexModel

from ticketing_common.observability.tracing import traceparent
from ticketing_common.values.clock import now
from ticketing_common.values.events import Event

OUTBOX_INDEX = IndexModel(
    [("outbox.at", 1)], partialFilterExpression={"outbox.0": {"$exists": True}}, name="outbox"
)

MAX_QUEUED_EVENTS = 8
"""A document with more unpublished events is left to the relay's sweep, so that the queue stays small."""
MAX_OUTBOX_EVENTS = 1_000
"""Unpublished events in one document: MongoDB limits a document to 16 MB."""
_MAX_QUEUED_DOCUMENTS = 1_000


def outbox_entry(event: Event) -> dict[str, Any]:
    """An event as it is stored in an outbox: in its wire form, with the trace that caused it."""
    return {
        "id": event.event_id,
        "subject": event.subject,
        "data": event.model_dump_json(by_alias=True).encode(),
        "trace": traceparent(),
        "at": now(),
    }


@dataclass(frozen=True)
class UnpublishedEvents:
    """The events in the outbox of one document, oldest first."""

    collection: Any
    document_id: str
    entries: Sequence[dict[str, Any]]


class Outbox:
    """The collections that have outboxes, and a queue of the documents that this process has just written."""

    def __init__(self) -> None:
        self.collections: list[Any] = []
        self.queue: asyncio.Queue[UnpublishedEvents] = asyncio.Queue(maxsize=_MAX_QUEUED_DOCUMENTS)

    def add_collection(self, collection: Any) -> None:
        self.collections.append(collection)

    def enqueue(self, collection: Any, document_id: str, entries: Sequence[dict[str, Any]]) -> None:
        """Queue a document just written, with all the events in its outbox, oldest first. Never waits.

        If there is no room, the relay's sweep finds the events.
        """
        if len(entries) <= MAX_QUEUED_EVENTS:
            with contextlib.suppress(asyncio.QueueFull):
                self.queue.put_nowait(UnpublishedEvents(collection, document_id, entries))
