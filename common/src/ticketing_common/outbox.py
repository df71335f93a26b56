"""The relay: publishes the events that documents carry in their outbox, then removes them.

The transactional outbox (https://microservices.io/patterns/data/transactional-outbox.html), with the
outbox inside the aggregate's own document, so that no transaction over two documents is needed.

Delivery is at least once. The unit of work is the document: its events are published one after the other,
oldest first, and publishing stops at the first failure. So no event of an aggregate overtakes an earlier one,
whichever replica publishes it. Documents are independent of each other and are published concurrently.
"""

import asyncio
import contextlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pymongo import IndexModel, UpdateOne, WriteConcern
from pymongo.errors import PyMongoError

from ticketing_common.clock import now
from ticketing_common.events import Event
from ticketing_common.jetstream import DOWN, Bus
from ticketing_common.logs import get_logger
from ticketing_common.metrics import EVENTS_PUBLISHED, OUTBOX_OLDEST, OUTBOX_SWEPT
from ticketing_common.tracing import traceparent

INDEX = IndexModel([("outbox.at", 1)], partialFilterExpression={"outbox.0": {"$exists": True}}, name="outbox")

QUEUED = 8
"""A document with more unpublished events is left to the sweep, so that the queue stays small."""
LONGEST = 1_000
"""Events that may wait in one document: MongoDB limits it to 16 MB."""
_QUEUE = 1_000
_BATCH = 500
_BATCH_OF_DOCUMENT = 100
_SWEEP_EVERY = 0.5
_SWEEPERS = 2
"""One publishes while the other one reads and removes."""
_LEFT_BEHIND = timedelta(seconds=1)
"""An event this old was left by a crash or an outage; the process that wrote a younger one publishes it."""
_LEASE = timedelta(seconds=6)
"""Longer than a publication, which times out after 5 s. It ends by itself after a kill."""

log = get_logger(__name__)


def entry(event: Event) -> dict[str, Any]:
    """An event as it is stored in an outbox: in its wire form, with the trace that caused it."""
    return {
        "id": event.event_id,
        "subject": event.subject,
        "data": event.model_dump_json(by_alias=True).encode(),
        "trace": traceparent(),
        "at": now(),
    }


@dataclass(frozen=True)
class _Pending:
    """The unpublished events of one document, oldest first."""

    collection: Any
    document: str
    entries: Sequence[dict[str, Any]]


class Relay:
    """Publishes immediately what this process wrote, and sweeps for what a crash or an outage left behind."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._collections: list[Any] = []
        self._queue: asyncio.Queue[_Pending] = asyncio.Queue(maxsize=_QUEUE)

    def sweeps(self, collection: Any) -> None:
        """Include this collection in the sweep."""
        self._collections.append(collection)

    def wake(self, collection: Any, document: str, entries: Sequence[dict[str, Any]]) -> None:
        """Queue a document just written, with all the events in its outbox, oldest first. Never waits."""
        if len(entries) > QUEUED:  # the sweep finds it
            return
        with contextlib.suppress(asyncio.QueueFull):
            self._queue.put_nowait(_Pending(collection, document, entries))

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until `stopping` is set, then what is still queued."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_SWEEPERS):
                group.create_task(self._sweep_for_ever(stopping))
            await self.bus.connect()
            await self._publish_queued(stopping)

    async def _publish_queued(self, stopping: asyncio.Event) -> None:
        halt = asyncio.create_task(stopping.wait())
        try:
            while not (stopping.is_set() and self._queue.empty()):
                getter = asyncio.create_task(self._queue.get())
                await asyncio.wait({getter, halt}, return_when=asyncio.FIRST_COMPLETED)
                if not getter.done():
                    getter.cancel()
                    continue
                batch = [getter.result()]
                while len(batch) < _BATCH and not self._queue.empty():
                    batch.append(self._queue.get_nowait())
                await self._publish(batch)
        finally:
            halt.cancel()

    async def _publish(self, batch: Sequence[_Pending], *, leased: bool = False) -> bool:
        """Publish the batch and remove what was published from its documents. Returns whether all was."""
        published = await asyncio.gather(*(self._publish_in_order(pending) for pending in batch))
        failed = sum(len(pending.entries) for pending in batch) - sum(map(len, published))
        if failed:
            log.warning("events wait in the outbox", count=failed)
        done = [pair for pair in zip(batch, published, strict=True) if leased or pair[1]]
        try:
            await self._remove(done)
        except PyMongoError as error:
            log.warning("published events stay in the outbox and are published again", reason=repr(error))
            return False
        return not failed

    async def _remove(self, published: Sequence[tuple[_Pending, list[str]]]) -> None:
        """Remove events, by their ids, from the outboxes of their documents; the documents' leases end.

        A lease that another replica has taken meanwhile ends as well, which only causes duplicates.
        """
        for collection in self._collections:
            updates = [
                UpdateOne(
                    {"_id": pending.document},
                    {"$pull": {"outbox": {"id": {"$in": ids}}}, "$unset": {"outbox_lease": ""}},
                )
                for pending, ids in published
                if pending.collection is collection
            ]
            if updates:
                # A removal that a crash undoes is one more duplicate, so it need not wait for the journal.
                lazily = collection.with_options(write_concern=WriteConcern(w=1, j=False))
                await lazily.bulk_write(updates, ordered=False)

    async def _publish_in_order(self, pending: _Pending) -> list[str]:
        """Publish the events of one document up to the first failure. Returns the ids of those published."""
        published: list[str] = []
        for each in pending.entries:
            try:
                await self.bus.publish_raw(
                    each["subject"], each["data"], each["id"], each["trace"], each["at"]
                )
            except DOWN as error:
                log.debug("publishing failed", reason=repr(error))
                break
            EVENTS_PUBLISHED.labels(each["subject"]).inc()
            published.append(each["id"])
        return published

    async def _sweep_for_ever(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                for collection in self._collections:
                    while not stopping.is_set() and await self._sweep(collection):
                        pass
            except Exception as error:
                log.warning("the outbox could not be swept, trying again", reason=repr(error))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), _SWEEP_EVERY)

    async def _sweep(self, collection: Any) -> bool:
        """Publish the oldest batch that was left behind. Returns whether there may be another one."""
        at = now()
        left = {"outbox.0": {"$exists": True}, "outbox.at": {"$lt": at - _LEFT_BEHIND}}
        oldest = await collection.find_one(left, {"outbox.at": 1}, sort=[("outbox.at", 1)])
        age = (at - oldest["outbox"][0]["at"]).total_seconds() if oldest else 0
        OUTBOX_OLDEST.labels(collection.name).set(age)
        if not oldest:
            return False
        cursor = collection.find(left | _free(at), {"_id": 1}).sort("outbox.at", 1).limit(_BATCH)
        found = [document["_id"] for document in await cursor.to_list(_BATCH)]
        if not found:  # all are claimed
            return False
        await self.bus.ping()
        batch = await self._lease(collection, found, at)
        OUTBOX_SWEPT.inc(sum(len(pending.entries) for pending in batch))
        log.info("publishing events left behind", documents=len(batch))
        return await self._publish(batch, leased=True) and len(found) == _BATCH

    async def _lease(self, collection: Any, ids: list[str], at: datetime) -> list[_Pending]:
        """Claim those of the documents that no other replica has claimed, so that replicas share the work."""
        lease = {"token": secrets.token_hex(8), "until": at + _LEASE}
        await collection.update_many({"_id": {"$in": ids}} | _free(at), {"$set": {"outbox_lease": lease}})
        claimed = {"_id": {"$in": ids}, "outbox_lease.token": lease["token"]}
        oldest = {"version": 1, "outbox": {"$slice": _BATCH_OF_DOCUMENT}}
        documents = await collection.find(claimed, oldest).to_list(len(ids))
        return [_Pending(collection, document["_id"], document["outbox"]) for document in documents]


def _free(at: datetime) -> dict[str, Any]:
    """Matches the documents that no replica has claimed."""
    return {"outbox_lease.until": {"$not": {"$gt": at}}}
