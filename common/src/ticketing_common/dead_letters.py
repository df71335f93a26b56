"""Dead letters: events that could not be handled, kept in the follower's own database until somebody looks.

    MONGO_URI=... python -m ticketing_common.dead_letters list
    MONGO_URI=... NATS_URL=... python -m ticketing_common.dead_letters replay [ID ...]

A replay publishes the event again, as it was, for every follower: versions make it harmless to those
that have had it.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nats.aio.msg import Msg

from ticketing_common import mongo
from ticketing_common.clock import now
from ticketing_common.config import MongoSettings, NatsSettings, NatsUrl, load
from ticketing_common.jetstream import connected
from ticketing_common.metrics import DEAD_LETTERS_KEPT
from ticketing_common.redaction import redact

_PAGE = 1_000
_FORGET_FAILURES = timedelta(days=7)
"""After the last one. A message that keeps failing is a dead letter within minutes."""


@dataclass(frozen=True)
class DeadLetter:
    id: str
    """When the stream stored the message, and its sequence number there. Old ones: the number alone."""
    subject: str
    data: bytes
    trace: str | None
    reason: str
    detail: str
    at: datetime
    """When it was kept."""


class DeadLetters:
    """The messages that were given up, and how often the others have failed so far."""

    def __init__(self, database: mongo.Database) -> None:
        self._collection = database["dead_letters"]
        self._failures = database["delivery_failures"]

    async def keep(self, message: Msg, reason: str, detail: str) -> None:
        """Keep a message with the reason; keeping it twice keeps it once."""
        letter = {
            "subject": message.subject,
            "data": message.data,
            "trace": (message.headers or {}).get("traceparent"),
            "reason": reason,
            "detail": redact(detail)[:2_000],
            "at": now(),
        }
        await self._collection.update_one({"_id": _identity(message)}, {"$setOnInsert": letter}, upsert=True)
        await self.count()

    async def count(self) -> int:
        """How many are kept; also sets the gauge."""
        kept = int(await self._collection.estimated_document_count())
        DEAD_LETTERS_KEPT.set(kept)
        return kept

    async def identities(self) -> list[str]:
        """Those of all letters, oldest first; those kept in the same moment in the order of the stream."""
        found = await self._collection.find({}, {"at": 1}).to_list(None)
        return [str(d["_id"]) for d in sorted(found, key=lambda d: (d["at"], _sequence(d["_id"])))]

    async def read(self, identities: Sequence[str]) -> AsyncIterator[DeadLetter]:
        """The letters of these identities, in this order; those that are not kept are left out."""
        for start in range(0, len(identities), _PAGE):
            page = identities[start : start + _PAGE]
            found = await self._collection.find({"_id": {"$in": page}}).to_list(None)
            letters = {d["_id"]: d for d in found}
            for identity in page:
                if letter := letters.get(identity):
                    yield DeadLetter(id=letter.pop("_id"), **letter)

    async def remove(self, identity: str) -> None:
        await self._collection.delete_one({"_id": identity})

    async def count_failure(self, message: Msg) -> int:
        """Count one more failure to handle a message, at any replica. Returns how many there are."""
        await self._failures.create_index("at", expireAfterSeconds=int(_FORGET_FAILURES.total_seconds()))
        counted = await self._failures.find_one_and_update(
            {"_id": _identity(message)},
            {"$inc": {"count": 1}, "$set": {"at": now()}},
            upsert=True,
            return_document=True,
        )
        return int(counted["count"])


def _identity(message: Msg) -> str:
    """The same at each delivery, and different for every message, also of a stream that was created anew."""
    metadata = message.metadata
    return f"{metadata.timestamp:%Y%m%dT%H%M%S.%fZ}-{metadata.sequence.stream}"


def _sequence(identity: str) -> int:
    return int(identity.rpartition("-")[2])


class _Settings(MongoSettings, NatsSettings):
    nats_url: NatsUrl = "nats://127.0.0.1:4222"  # what is only listed needs none


async def list_letters(letters: DeadLetters) -> int:
    """Print all that are kept. Returns the number."""
    listed = 0
    async for letter in letters.read(await letters.identities()):
        listed += 1
        print(
            f"{letter.id}  {letter.at:%Y-%m-%d %H:%M:%S}  {letter.subject}  {letter.reason}: {letter.detail}"
        )
        print(f"    {letter.data[:500].decode(errors='replace')}")
    print(f"{listed} dead letters")
    return listed


async def replay(
    letters: DeadLetters, nats_url: str, wanted: list[str], replicas: int = 1, max_bytes: int = -1
) -> int:
    """Publish again those wanted, or all; each is removed once the stream has it. Returns the number."""
    replayed = 0
    async with connected(nats_url, "dead-letters", replicas, max_bytes) as bus:
        async for letter in letters.read(wanted or await letters.identities()):
            await bus.publish_raw(letter.subject, letter.data, trace=letter.trace)
            await letters.remove(letter.id)
            print(f"replayed {letter.id} {letter.subject}")
            replayed += 1
    return replayed


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m ticketing_common.dead_letters", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="show what is kept, oldest first")
    replays = commands.add_parser("replay", help="publish again, then remove")
    replays.add_argument("ids", nargs="*", metavar="ID", help="which ones; all where none is named")
    arguments = parser.parse_args()
    settings = load(_Settings, "dead_letters")
    letters = DeadLetters(mongo.connect(settings.mongo_uri))
    if arguments.command == "list":
        await list_letters(letters)
        return 0
    replayed = await replay(
        letters, settings.nats_url, arguments.ids, settings.nats_replicas, settings.nats_max_bytes
    )
    return 0 if replayed or not arguments.ids else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
