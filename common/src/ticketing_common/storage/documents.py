"""Documents: aggregates of one kind, each changed by compare-and-set together with its event."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter
from pymongo import IndexModel
from pymongo.errors import DuplicateKeyError

from ticketing_common.storage.idempotency import IdempotencyKeyTaken
from ticketing_common.storage.mongo import MAX_CONNECTIONS, Database, without_journal
from ticketing_common.storage.outbox import (
    MAX_OUTBOX_EVENTS,
    MAX_QUEUED_EVENTS,
    OUTBOX_INDEX,
    Outbox,
    outbox_entry,
)
from ticketing_common.values.aggregate import Aggregate, is_next_version
from ticketing_common.values.errors import Unavailable
from ticketing_common.values.events import Event

A = TypeVar("A", bound=Aggregate)

_MAX_ATTEMPTS = MAX_CONNECTIONS
"""At most as many writers of one process compete for a document."""


class DocumentNotFound(Exception):
    """No document matches."""


class DuplicateDocument(Exception):
    """A unique index already contains the values of the document to insert."""


class Documents(Generic[A]):
    """The aggregates of one kind, each a document that is changed by compare-and-set on {_id, version}.

    `event_of` returns the event that publishes the new state of an aggregate, or None. The event is stored in
    the outbox inside the document by the same write, so both happen or neither does.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        kind: type[A],
        *,
        outbox: Outbox | None = None,
        event_of: Callable[[A], Event | None] = lambda _: None,
    ) -> None:
        self.collection = database[name]
        # Errors must not contain the content of a document.
        config = ConfigDict(hide_input_in_errors=True)
        self._kind: TypeAdapter[A | None] = TypeAdapter(kind | None, config=config)  # type: ignore[arg-type]
        self._kinds: TypeAdapter[list[A]] = TypeAdapter(list[kind], config=config)  # type: ignore[valid-type]
        # The projection of every read: neither the outbox nor the fields that exist only for queries.
        self._stored_names = {"id": "_id", **kind.stored_names}
        self._python_names = {stored: name for name, stored in self._stored_names.items()}
        self._fields = {self._stored_names.get(f.name, f.name): 1 for f in fields(kind)}
        self._outbox = outbox
        self._event_of = event_of
        if outbox:
            outbox.add_collection(self.collection)

    async def ensure_indexes(self, *indexes: IndexModel) -> None:
        all_indexes = [*indexes, *([OUTBOX_INDEX] if self._outbox else [])]
        if all_indexes:
            await self.collection.create_indexes(all_indexes)

    async def find(self, **equals: Any) -> A | None:
        """The one document whose fields have these values. A malformed id matches nothing."""
        return self._load(await self.collection.find_one(self._stored(equals), self._fields))

    async def find_last(self, criteria: dict[str, Any], *, by: str) -> A | None:
        """The match with the highest value of the field `by`."""
        return self._load(await self.collection.find_one(criteria, self._fields, sort=[(by, -1)]))

    async def find_page(
        self,
        criteria: dict[str, Any],
        limit: int,
        *,
        by: str = "_id",
        newest_first: bool = False,
        after: Any = None,
    ) -> list[A]:
        """At most `limit` matches in the order of the field `by`, starting behind its value `after`."""
        if after is not None:
            criteria = {"$and": [criteria, {by: {"$lt" if newest_first else "$gt": after}}]}
        cursor = self.collection.find(criteria, self._fields).sort(by, -1 if newest_first else 1).limit(limit)
        return self._kinds.validate_python([self._from_mongo(d) for d in await cursor.to_list(limit)])

    async def update_first(self, criteria: dict[str, Any], fields: dict[str, Any], *, by: str) -> A | None:
        """Set fields beside the aggregate's own, such as a lease, in the first match in the order of `by`.

        One atomic write, which does not change the version. A crash of MongoDB may undo it.
        """
        return self._load(
            await without_journal(self.collection).find_one_and_update(
                criteria, {"$set": fields}, self._fields, sort=[(by, 1)]
            )
        )

    async def sum_by(self, criteria: dict[str, Any], *, by: str, of: str) -> dict[Any, tuple[int, int]]:
        """For each value of the field `by`, the number of documents and the sum of their field `of`."""
        count, total = {"$sum": 1}, {"$sum": f"${of}"}
        group = {"$group": {"_id": f"${by}", "count": count, "total": total}}
        # Differs between motor and AsyncMongoClient, whose `aggregate` has to be awaited first.
        groups = await self.collection.aggregate([{"$match": criteria}, group]).to_list(None)
        return {each["_id"]: (each["count"], each["total"]) for each in groups}

    async def insert(self, aggregate: A, **derived: Any) -> None:
        """Insert the aggregate with its event; `derived` fields are stored for queries only.

        Raises IdempotencyKeyTaken if the unique index of the Idempotency-Key forbids it, DuplicateDocument if
        another unique index does.
        """
        entries = self._entries(aggregate)
        document = self._dump(aggregate) | derived | ({"outbox": entries} if self._outbox is not None else {})
        try:
            await self.collection.insert_one(document)
        except DuplicateKeyError as error:
            if "request.key" in (error.details or {}).get("keyPattern", {}):
                raise IdempotencyKeyTaken from None
            raise DuplicateDocument from None
        self._enqueue(aggregate.id, entries)

    async def change(
        self, decide: Callable[[A], A], derive: Callable[[A], dict[str, Any]] = lambda _: {}, **equals: Any
    ) -> A:
        """Replace an aggregate by the result of `decide`, with the next version, and store its event.

        `decide` is pure: it is called again if another writer changed the document first. An unchanged
        aggregate is not written. Raises DocumentNotFound, Unavailable if 50 other writers came first or 1,000
        events of the document are unpublished, and what `decide` raises.
        """
        last_place = f"outbox.{MAX_OUTBOX_EVENTS - 1}"
        for attempt in range(_MAX_ATTEMPTS):
            outbox = {"outbox": {"$slice": MAX_QUEUED_EVENTS}}
            document = await self.collection.find_one(self._stored(equals), self._fields | outbox)
            unpublished = document.pop("outbox", []) if document else []
            before = self._load(document)
            if before is None:
                raise DocumentNotFound(str(equals))
            after = decide(before)
            if after == before:
                return before
            after = replace(after, version=before.version + 1)
            entries = self._entries(after)
            as_read: dict[str, Any] = {"_id": before.id, "version": before.version}
            update: dict[str, Any] = {"$set": self._dump(after) | derive(after)}
            if entries:
                as_read[last_place] = {"$exists": False}
                update["$push"] = {"outbox": {"$each": entries}}
            result = await self.collection.update_one(as_read, update)
            if result.matched_count:
                if entries:
                    # Together with the earlier events, which must be published first.
                    self._enqueue(after.id, [*unpublished, *entries])
                return after
            full = {"_id": before.id, last_place: {"$exists": True}}
            if (
                entries
                and len(unpublished) == MAX_QUEUED_EVENTS
                and await self.collection.find_one(full, {"_id": 1})
            ):
                raise Unavailable
            await asyncio.sleep(random.uniform(0, 0.002 * attempt))
        raise Unavailable

    async def apply_change(self, identity: str, version: int, evolve: Callable[[A | None], A]) -> A | None:
        """Apply an event that carries only what changed to our copy of another service's aggregate.

        Returns the copy, or None for a duplicate. Raises EarlierEventMissing if an earlier event has not
        arrived.
        """
        before = await self.find(id=identity)
        if not is_next_version(version, before.version if before else -1):
            return None
        after = replace(evolve(before), version=version)
        if before is None:
            try:
                await self.collection.insert_one(self._dump(after))
            except DuplicateKeyError:  # delivered twice
                return None
        else:
            await self.collection.update_one(
                {"_id": identity, "version": before.version}, {"$set": self._dump(after)}
            )
        return after

    async def replace_if_newer(self, aggregate: A) -> A | None:
        """Store the aggregate from an event that carries its whole state, unless our copy is newer.

        A lost event is repaired by the next one. The same version replaces a copy that lacks a field, because
        a release without the field stored it. Returns the previous copy, or None if there was none.
        """
        state = self._dump(aggregate)
        lacks = {"$or": [{name: None} for name, value in state.items() if value is not None]}
        same = {"version": aggregate.version, **lacks}
        outdated = {"_id": aggregate.id, "$or": [{"version": {"$lt": aggregate.version}}, same]}
        replace_by = partial(self.collection.find_one_and_update, outdated, {"$set": state}, self._fields)
        try:
            return self._load(await replace_by(upsert=True))
        except DuplicateKeyError:  # our copy is up to date, or another delivery has just stored one
            return self._load(await replace_by()) or await self.find(id=aggregate.id)

    def _load(self, document: dict[str, Any] | None) -> A | None:
        return None if document is None else self._kind.validate_python(self._from_mongo(document))

    def _dump(self, aggregate: A) -> dict[str, Any]:
        return self._stored(self._kind.dump_python(aggregate))

    def _stored(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields under their stored names."""
        return {self._stored_names.get(name, name): value for name, value in fields.items()}

    def _from_mongo(self, document: dict[str, Any]) -> dict[str, Any]:
        for stored, name in self._python_names.items():
            if stored in document:
                document[name] = document.pop(stored)
        return document

    def _entries(self, aggregate: A) -> list[dict[str, Any]]:
        event = self._event_of(aggregate)
        return [] if event is None else [outbox_entry(event)]

    def _enqueue(self, identity: str, entries: Sequence[dict[str, Any]]) -> None:
        if self._outbox and entries:
            self._outbox.enqueue(self.collection, identity, entries)
