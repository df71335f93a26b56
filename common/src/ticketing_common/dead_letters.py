"""Dead letters: events that could not be handled, kept in the follower's own database until somebody looks.

    MONGO_URI=... python -m ticketing_common.dead_letters list
    MONGO_URI=... NATS_URL=... python -m ticketing_common.dead_letters replay [ID ...]

A replay publishes the event again, as it was, for every follower: versions make it harmless to those
that have had it.
"""

import argparse
import asyncio
from dataclasses import dataclass
from datetime import datetime

from nats.aio.msg import Msg

from ticketing_common import mongo
from ticketing_common.clock import now
from ticketing_common.config import MongoSettings, NatsSettings, NatsUrl, load
from ticketing_common.jetstream import connected
from ticketing_common.metrics import DEAD_LETTERS_KEPT
from ticketing_common.redaction import redact

_PAGE = 1_000


@dataclass(frozen=True)
class DeadLetter:
    id: str
    """The message's sequence number in the stream."""
    subject: str
    data: bytes
    trace: str | None
    reason: str
    detail: str
    at: datetime


class DeadLetters:
    def __init__(self, database: mongo.Database) -> None:
        self._collection = database["dead_letters"]

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
        identity = str(message.metadata.sequence.stream)
        await self._collection.update_one({"_id": identity}, {"$setOnInsert": letter}, upsert=True)
        await self.count()

    async def count(self) -> int:
        """How many are kept; also sets the gauge."""
        kept = int(await self._collection.estimated_document_count())
        DEAD_LETTERS_KEPT.set(kept)
        return kept

    async def page(self) -> list[DeadLetter]:
        """The oldest thousand."""
        documents = await self._collection.find({}).sort("_id", 1).limit(_PAGE).to_list(_PAGE)
        return [DeadLetter(id=d.pop("_id"), **d) for d in documents]

    async def remove(self, identity: str) -> None:
        await self._collection.delete_one({"_id": identity})


class _Settings(MongoSettings, NatsSettings):
    nats_url: NatsUrl = "nats://127.0.0.1:4222"  # what is only listed needs none


async def list_letters(letters: DeadLetters) -> int:
    """Print what is kept. Returns the number."""
    page = await letters.page()
    for letter in page:
        print(
            f"{letter.id}  {letter.at:%Y-%m-%d %H:%M:%S}  {letter.subject}  {letter.reason}: {letter.detail}"
        )
        print(f"    {letter.data[:500].decode(errors='replace')}")
    print(f"{len(page)} dead letters")
    return len(page)


async def replay(letters: DeadLetters, nats_url: str, wanted: list[str], replicas: int = 1) -> int:
    """Publish again those wanted, or all; each is removed once the stream has it. Returns the number."""
    chosen = [letter for letter in await letters.page() if not wanted or letter.id in wanted]
    async with connected(nats_url, "dead-letters", replicas) as bus:
        for letter in chosen:
            await bus.publish_raw(letter.subject, letter.data, trace=letter.trace)
            await letters.remove(letter.id)
            print(f"replayed {letter.id} {letter.subject}")
    return len(chosen)


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
    replayed = await replay(letters, settings.nats_url, arguments.ids, settings.nats_replicas)
    return 0 if replayed or not arguments.ids else 1


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
