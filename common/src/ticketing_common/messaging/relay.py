"""The relay: publishes the events in the outboxes of documents, then removes them.

Delivery is at least once. The unit of work is the document: its events are published one after the other,
oldest first, and publishing stops at the first failure. So no event of an aggregate overtakes an earlier one,
whichever replica publishes it. Different documents are published concurrently.
"""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pymongo import UpdateOne
from pymongo.errors import PyMongoError

from ticketing_common.background import repeat
from ticketing_common.messaging.bus import NATS_UNAVAILABLE, Bus
from ticketing_common.observability.logs import get_logger
from ticketing_common.observability.metrics import EVENTS_PUBLISHED, OUTBOX_OLDEST, OUTBOX_SWEPT
from ticketing_common.storage.leases import not_leased
from ticketing_common.storage.mongo import without_journal
from ticketing_common.storage.outbox import Outbox, UnpublishedEvents
from ticketing_common.values.clock import now

_BATCH = 500
_MAX_EVENTS_OF_DOCUMENT = 100
"""Events of one document that a sweep publishes at a time."""
_SWEEP_EVERY = 0.5
"""Seconds."""
_SWEEPERS = 2
"""One publishes while the other reads and removes."""
_LEFT_BEHIND = timedelta(seconds=1)
"""An older event was left behind by a crash or an outage; a younger one is published by the process that
wrote it."""
_LEASE = timedelta(seconds=6)
"""Longer than a publication, which times out after 5 s. The lease of a killed process ends by itself."""

log = get_logger(__name__)


class Relay:
    """Publishes immediately what this process has stored, and sweeps for what was left behind."""

    def __init__(self, outbox: Outbox, bus: Bus) -> None:
        self.outbox = outbox
        self._bus = bus

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until `stopping` is set, then publish what is still queued."""
        outages = (PyMongoError, *NATS_UNAVAILABLE)
        async with asyncio.TaskGroup() as group:
            for _ in range(_SWEEPERS):
                sweep = repeat(
                    lambda: self._sweep_all(stopping),
                    stopping,
                    name="Relay.sweep",
                    every=_SWEEP_EVERY,
                    outages=outages,
                )
                group.create_task(sweep)
            await self._bus.connect()
            await self._publish_queued(stopping)

    async def _publish_queued(self, stopping: asyncio.Event) -> None:
        stop = asyncio.create_task(stopping.wait())
        queue = self.outbox.queue
        try:
            while not (stopping.is_set() and queue.empty()):
                getter = asyncio.create_task(queue.get())
                await asyncio.wait({getter, stop}, return_when=asyncio.FIRST_COMPLETED)
                if not getter.done():
                    getter.cancel()
                    continue
                batch = [getter.result()]
                while len(batch) < _BATCH and not queue.empty():
                    batch.append(queue.get_nowait())
                await self._publish(batch)
        finally:
            stop.cancel()

    async def _publish(self, batch: Sequence[UnpublishedEvents], *, leased: bool = False) -> bool:
        """Publish the batch, remove published events from their documents. Returns whether all succeeded."""
        published = await asyncio.gather(*(self._publish_in_order(pending) for pending in batch))
        failed = sum(len(pending.entries) for pending in batch) - sum(map(len, published))
        if failed:
            log.warning("events not published, they stay in the outbox", count=failed)
        done = [pair for pair in zip(batch, published, strict=True) if leased or pair[1]]
        try:
            await self._remove(done)
        except PyMongoError as error:
            log.warning("published events not removed, they will be published again", reason=repr(error))
            return False
        return not failed

    async def _remove(self, published: Sequence[tuple[UnpublishedEvents, list[str]]]) -> None:
        """Remove events, by their ids, from the outboxes of their documents, and end the leases of the
        documents.

        Also ends a lease that another replica has taken meanwhile, which only causes duplicates.
        """
        for collection in self.outbox.collections:
            updates = [
                UpdateOne(
                    {"_id": pending.document_id},
                    {"$pull": {"outbox": {"id": {"$in": ids}}}, "$unset": {"outbox_lease": ""}},
                )
                for pending, ids in published
                if pending.collection is collection
            ]
            if updates:
                # A removal that a crash undoes causes only a duplicate.
                await without_journal(collection).bulk_write(updates, ordered=False)

    async def _publish_in_order(self, pending: UnpublishedEvents) -> list[str]:
        """Publish the events of one document up to the first failure. Returns the published ids."""
        published: list[str] = []
        for each in pending.entries:
            try:
                await self._bus.publish_raw(
                    each["subject"], each["data"], each["id"], each["trace"], each["at"]
                )
            except NATS_UNAVAILABLE as error:
                log.debug("publishing failed", reason=repr(error))
                break
            EVENTS_PUBLISHED.labels(each["subject"]).inc()
            published.append(each["id"])
        return published

    async def _sweep_all(self, stopping: asyncio.Event) -> None:
        for collection in self.outbox.collections:
            while not stopping.is_set() and await self._sweep(collection):
                pass

    async def _sweep(self, collection: Any) -> bool:
        """Publish the oldest batch of events left behind. Returns whether there may be more."""
        at = now()
        left = {"outbox.0": {"$exists": True}, "outbox.at": {"$lt": at - _LEFT_BEHIND}}
        oldest = await collection.find_one(left, {"outbox.at": 1}, sort=[("outbox.at", 1)])
        age = (at - oldest["outbox"][0]["at"]).total_seconds() if oldest else 0
        OUTBOX_OLDEST.labels(collection.name).set(age)
        if not oldest:
            return False
        cursor = (
            collection.find(left | not_leased("outbox_lease", at), {"_id": 1})
            .sort("outbox.at", 1)
            .limit(_BATCH)
        )
        found = [document["_id"] for document in await cursor.to_list(_BATCH)]
        if not found:  # other replicas have leased all
            return False
        await self._bus.ping()
        batch = await self._lease(collection, found, at)
        OUTBOX_SWEPT.inc(sum(len(pending.entries) for pending in batch))
        log.info("publishing events left behind", documents=len(batch))
        return await self._publish(batch, leased=True) and len(found) == _BATCH

    async def _lease(self, collection: Any, ids: list[str], at: datetime) -> list[UnpublishedEvents]:
        """Lease the documents that no other replica has leased, so that replicas share the work."""
        lease = {"token": secrets.token_hex(8), "until": at + _LEASE}
        await collection.update_many(
            {"_id": {"$in": ids}} | not_leased("outbox_lease", at), {"$set": {"outbox_lease": lease}}
        )
        leased = {"_id": {"$in": ids}, "outbox_lease.token": lease["token"]}
        projection = {"version": 1, "outbox": {"$slice": _MAX_EVENTS_OF_DOCUMENT}}
        documents = await collection.find(leased, projection).to_list(len(ids))
        return [UnpublishedEvents(collection, document["_id"], document["outbox"]) for document in documents]
