"""The relay: publishes the events that documents carry in their outbox, then takes them out.

The transactional outbox (https://microservices.io/patterns/data/transactional-outbox.html), with the
outbox inside the aggregate's own document, so that no transaction over two documents is needed.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from pymongo import IndexModel, UpdateOne, WriteConcern

from ticketing_common.clock import now
from ticketing_common.events import Event
from ticketing_common.jetstream import DOWN, Bus
from ticketing_common.logs import get_logger
from ticketing_common.metrics import EVENTS_PUBLISHED, OUTBOX_OLDEST, OUTBOX_SWEPT
from ticketing_common.tracing import traceparent

INDEX = IndexModel([("outbox.at", 1)], partialFilterExpression={"outbox.0": {"$exists": True}}, name="outbox")

_BATCH = 256
_SWEEP_EVERY = 1.0
_LEFT_BEHIND = timedelta(seconds=2)
"""An event this old was left by a crash or an outage; a younger one is in the hands of its own process."""

log = get_logger(__name__)


def entry(event: Event) -> dict[str, Any]:
    """An event as it waits in a document: in its wire form, with the trace that caused it."""
    return {
        "id": event.event_id,
        "subject": event.subject,
        "data": event.model_dump_json(by_alias=True).encode(),
        "trace": traceparent(),
        "at": now(),
    }


@dataclass(frozen=True)
class _Waiting:
    collection: Any
    document: str
    entry: dict[str, Any]


class Relay:
    """Publishes at once what this process wrote, and sweeps for what a crash left behind."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._collections: list[Any] = []
        # What does not fit is found by the sweep.
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue(maxsize=10_000)

    def sweeps(self, collection: Any) -> None:
        """Have the sweep look after this collection too."""
        self._collections.append(collection)

    def wake(self, collection: Any, document: str, entries: Sequence[dict[str, Any]]) -> None:
        """Tell the relay of events just committed. Never waits: the write is safe already."""
        for each in entries:
            try:
                self._queue.put_nowait(_Waiting(collection, document, each))
            except asyncio.QueueFull:
                return

    async def run(self, stopping: asyncio.Event) -> None:
        """Publish until told to stop, then what is still in hand."""
        await self.bus.connect()
        sweeper = asyncio.create_task(self._sweep_for_ever())
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
            sweeper.cancel()

    async def _publish(self, batch: list[_Waiting]) -> None:
        """Publish in order; what the server has acknowledged leaves its document, the rest is swept later."""
        answers = await asyncio.gather(
            *(
                self.bus.publish_raw(w.entry["subject"], w.entry["data"], w.entry["id"], w.entry["trace"])
                for w in batch
            ),
            return_exceptions=True,
        )
        acknowledged = [w for w, answer in zip(batch, answers, strict=True) if answer is None]
        for answer in answers:
            if answer is not None and not isinstance(answer, DOWN):
                raise answer
        if len(acknowledged) < len(batch):
            log.warning("events wait in the outbox", count=len(batch) - len(acknowledged))
        for collection in self._collections:
            pulls = [
                UpdateOne({"_id": w.document}, {"$pull": {"outbox": {"id": w.entry["id"]}}})
                for w in acknowledged
                if w.collection is collection
            ]
            if pulls:
                # A pull that a crash undoes is one more duplicate, so it need not wait for the journal.
                lazily = collection.with_options(write_concern=WriteConcern(w=1, j=False))
                await lazily.bulk_write(pulls, ordered=False)
        for w in acknowledged:
            EVENTS_PUBLISHED.labels(w.entry["subject"]).inc()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_EVERY)
            try:
                for collection in self._collections:
                    await self._sweep(collection)
            except Exception as error:
                log.warning("the outbox could not be swept, trying again", reason=repr(error))

    async def _sweep(self, collection: Any) -> None:
        left = {"outbox.0": {"$exists": True}, "outbox.at": {"$lt": now() - _LEFT_BEHIND}}
        cursor = collection.find(left, {"outbox": 1}).sort("outbox.at", 1).limit(_BATCH)
        batch = [
            _Waiting(collection, document["_id"], each)
            for document in await cursor.to_list(_BATCH)
            for each in document["outbox"]
        ]
        oldest = (now() - batch[0].entry["at"]).total_seconds() if batch else 0
        OUTBOX_OLDEST.labels(collection.name).set(oldest)
        if batch:
            await self.bus.ping()
            OUTBOX_SWEPT.inc(len(batch))
            log.info("publishing events left behind", count=len(batch))
            await self._publish(batch)
