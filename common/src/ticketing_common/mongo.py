"""The only import of the MongoDB driver: connecting, and documents changed by compare-and-set.

Of motor only that is used which PyMongo's AsyncMongoClient offers alike, so that the change from
the one to the other stays within this file.
"""

import asyncio
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar
from urllib.parse import parse_qs, urlsplit

from bson import ObjectId
from bson.codec_options import CodecOptions
from motor.motor_asyncio import AsyncIOMotorClient as MongoClient
from motor.motor_asyncio import AsyncIOMotorDatabase
from pydantic import ConfigDict, TypeAdapter
from pymongo import IndexModel, WriteConcern
from pymongo.errors import ConnectionFailure, DuplicateKeyError, ExecutionTimeout, WriteConcernError

from ticketing_common.aggregate import Aggregate, follows
from ticketing_common.errors import Unavailable
from ticketing_common.events import Event
from ticketing_common.idempotency import KeyTaken
from ticketing_common.outbox import INDEX as OUTBOX_INDEX
from ticketing_common.outbox import LONGEST, QUEUED, Relay, entry

DOWN = (ConnectionFailure, ExecutionTimeout, WriteConcernError)
"""What the driver raises when the server is out of reach, too slow, loses its primary, or is just stopping:
then a write may be done, but is not promised to last."""

Database: TypeAlias = "AsyncIOMotorDatabase[dict[str, Any]]"

_ID = re.compile(r"[0-9a-f]{24}")
_WRITERS = 50

A = TypeVar("A", bound=Aggregate)


def connect(uri: str) -> Database:
    """The database that the URI names. An acknowledged write is in the journal of a majority."""
    client: MongoClient[dict[str, Any]] = MongoClient(
        uri,
        w="majority",
        journal=True,
        retryWrites=_names_replica_set(uri),
        timeoutMS=5_000,
        serverSelectionTimeoutMS=2_000,
        connectTimeoutMS=2_000,
        waitQueueTimeoutMS=2_000,
        maxPoolSize=_WRITERS,
    )
    return client.get_default_database(codec_options=CodecOptions(tz_aware=True, tzinfo=UTC))


async def ping(database: Database) -> None:
    """Raises one of DOWN unless the server answers now."""
    await database.command("ping")


def new_id() -> str:
    """A new identity: 24 hex digits that sort by the second of their making."""
    return str(ObjectId())


def first_id(at: datetime) -> str:
    """The least identity that can have been made in that second."""
    return str(ObjectId.from_datetime(at))


def is_id(text: str) -> bool:
    return _ID.fullmatch(text) is not None


def made_at(identity: str) -> datetime | None:
    """When it was made, to the second; None if it is no identity."""
    return ObjectId(identity).generation_time if is_id(identity) else None


class Missing(Exception):
    """No document has the wanted identity."""


class Duplicate(Exception):
    """A unique index already has what was to be inserted."""


class Documents(Generic[A]):
    """The documents of one kind of aggregate, each changed by compare-and-set on {_id, version}.

    `announce` says which event, if any, tells the others what an aggregate has become. The event is
    written into the outbox inside the document by the same write, so both happen or neither does.
    """

    def __init__(
        self,
        database: Database,
        name: str,
        kind: type[A],
        *,
        relay: Relay | None = None,
        announce: Callable[[A], Event | None] = lambda _: None,
    ) -> None:
        self.collection = database[name]
        # An error must not contain what is in a document. A dataclass alone takes no configuration here.
        config = ConfigDict(hide_input_in_errors=True)
        self._kind: TypeAdapter[A | None] = TypeAdapter(kind | None, config=config)  # type: ignore[arg-type]
        self._kinds: TypeAdapter[list[A]] = TypeAdapter(list[kind], config=config)  # type: ignore[valid-type]
        # What is read is what an aggregate has: neither the outbox nor what is derived for queries.
        self._stored_names = {"id": "_id", **kind.stored_names}
        self._python_names = {stored: name for name, stored in self._stored_names.items()}
        self._fields = {self._stored_names.get(f.name, f.name): 1 for f in fields(kind)}
        self._relay = relay
        self._announce = announce
        if relay:
            relay.sweeps(self.collection)

    async def ensure_indexes(self, *indexes: IndexModel) -> None:
        wanted = [*indexes, *([OUTBOX_INDEX] if self._relay else [])]
        if wanted:
            await self.collection.create_indexes(wanted)

    async def find(self, **equals: Any) -> A | None:
        """The one document whose fields have these values. A malformed id is unknown like any other."""
        return self._load(await self.collection.find_one(self._stored(equals), self._fields))

    async def last(self, criteria: dict[str, Any], *, by: str) -> A | None:
        """The one with the highest value of the field `by`."""
        return self._load(await self.collection.find_one(criteria, self._fields, sort=[(by, -1)]))

    async def page(
        self,
        criteria: dict[str, Any],
        limit: int,
        *,
        by: str = "_id",
        newest_first: bool = False,
        after: Any = None,
    ) -> list[A]:
        """At most `limit` documents in the order of the field `by`, those after the value `after` of it."""
        if after is not None:
            criteria = {"$and": [criteria, {by: {"$lt" if newest_first else "$gt": after}}]}
        cursor = self.collection.find(criteria, self._fields).sort(by, -1 if newest_first else 1).limit(limit)
        return self._kinds.validate_python([self._from_mongo(d) for d in await cursor.to_list(limit)])

    async def mark_first(self, criteria: dict[str, Any], fields: dict[str, Any], *, by: str) -> A | None:
        """Set fields beside the aggregate's own, such as a lease, in the first match in the order of `by`.

        One atomic write, which leaves the version alone. A crash of MongoDB may undo it.
        """
        lazily = self.collection.with_options(write_concern=WriteConcern(w=1, j=False))
        return self._load(
            await lazily.find_one_and_update(criteria, {"$set": fields}, self._fields, sort=[(by, 1)])
        )

    async def totals(self, criteria: dict[str, Any], *, by: str, of: str) -> dict[Any, tuple[int, int]]:
        """For each value of the field `by`, the number of documents and the sum of their field `of`."""
        count, total = {"$sum": 1}, {"$sum": f"${of}"}
        group = {"$group": {"_id": f"${by}", "count": count, "total": total}}
        # AsyncMongoClient's aggregate is awaited first: the one call here that the two do not offer alike.
        groups = await self.collection.aggregate([{"$match": criteria}, group]).to_list(None)
        return {each["_id"]: (each["count"], each["total"]) for each in groups}

    async def insert(self, aggregate: A, **derived: Any) -> None:
        """Add the aggregate and announce it; `derived` fields are kept for queries only.

        Raises Duplicate when a unique index forbids it, KeyTaken when that of the Idempotency-Key does.
        """
        entries = self._entries(aggregate)
        document = self._dump(aggregate) | derived | ({"outbox": entries} if self._relay else {})
        try:
            await self.collection.insert_one(document)
        except DuplicateKeyError as error:
            if "request.key" in (error.details or {}).get("keyPattern", {}):
                raise KeyTaken from None
            raise Duplicate from None
        self._wake(aggregate.id, entries)

    async def change(
        self, decide: Callable[[A], A], derive: Callable[[A], dict[str, Any]] = lambda _: {}, **equals: Any
    ) -> A:
        """Replace an aggregate by what `decide` makes of it, one version up, and announce it.

        `decide` is pure: it is called again when another writer came first. An unchanged aggregate is
        not written. Raises Missing, Unavailable when 50 other writers came first or 1,000 of the document's
        events wait to be published, and what `decide` raises.
        """
        last_place = f"outbox.{LONGEST - 1}"
        for attempt in range(_WRITERS):
            outbox = {"outbox": {"$slice": QUEUED}}
            document = await self.collection.find_one(self._stored(equals), self._fields | outbox)
            unpublished = document.pop("outbox", []) if document else []
            before = self._load(document)
            if before is None:
                raise Missing(str(equals))
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
                    # With the earlier ones, which must be published first.
                    self._wake(after.id, [*unpublished, *entries])
                return after
            full = {"_id": before.id, last_place: {"$exists": True}}
            if entries and len(unpublished) == QUEUED and await self.collection.find_one(full, {"_id": 1}):
                raise Unavailable
            await asyncio.sleep(random.uniform(0, 0.002 * attempt))
        raise Unavailable

    async def follow(self, identity: str, version: int, evolve: Callable[[A | None], A]) -> A | None:
        """Apply another service's event that carries only what changed to our copy of its aggregate.

        Returns the copy, or None for a duplicate. Raises EarlierEventUnderWay when an earlier one is missing.
        """
        before = await self.find(id=identity)
        if not follows(version, before.version if before else -1):
            return None
        after = replace(evolve(before), version=version)
        if before is None:
            try:
                await self.collection.insert_one(self._dump(after))
            except DuplicateKeyError:  # delivered twice; like any write it is answered once a majority has it
                return None
        else:
            await self.collection.update_one(
                {"_id": identity, "version": before.version}, {"$set": self._dump(after)}
            )
        return after

    async def keep_newest(self, aggregate: A) -> A | None:
        """Store another service's aggregate from an event that carries its whole state, unless outdated.

        A newer version replaces our copy, so a lost event heals with the next. The same version replaces a
        copy that lacks a field: a release that did not have the field yet stored it. Returns the copy as it
        was before, None if there was none.
        """
        state = self._dump(aggregate)
        lacks = {"$or": [{name: None} for name, value in state.items() if value is not None]}
        same = {"version": aggregate.version, **lacks}
        outdated = {"_id": aggregate.id, "$or": [{"version": {"$lt": aggregate.version}}, same]}
        replace_by = partial(self.collection.find_one_and_update, outdated, {"$set": state}, self._fields)
        try:
            return self._load(await replace_by(upsert=True))
        except DuplicateKeyError:  # our copy is not outdated, or another delivery has just stored one
            return self._load(await replace_by()) or await self.find(id=aggregate.id)

    def _load(self, document: dict[str, Any] | None) -> A | None:
        return None if document is None else self._kind.validate_python(self._from_mongo(document))

    def _dump(self, aggregate: A) -> dict[str, Any]:
        return self._stored(self._kind.dump_python(aggregate))

    def _stored(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The fields under the names that MongoDB has."""
        return {self._stored_names.get(name, name): value for name, value in fields.items()}

    def _from_mongo(self, document: dict[str, Any]) -> dict[str, Any]:
        for stored, name in self._python_names.items():
            if stored in document:
                document[name] = document.pop(stored)
        return document

    def _entries(self, aggregate: A) -> list[dict[str, Any]]:
        event = self._announce(aggregate)
        return [] if event is None else [entry(event)]

    def _wake(self, identity: str, entries: Sequence[dict[str, Any]]) -> None:
        if self._relay and entries:
            self._relay.wake(self.collection, identity, entries)


def _names_replica_set(uri: str) -> bool:
    """Whether the driver is to repeat a write by itself: only a replica set knows one that comes again.

    At a server that stands alone PyMongo (4.20) gives the second try up, but takes the first one's error for
    one of its new connection and drops them all: the next write fails alike, as long as there are writes.
    """
    return uri.startswith("mongodb+srv://") or "replicaset" in parse_qs(urlsplit(uri).query.lower())
