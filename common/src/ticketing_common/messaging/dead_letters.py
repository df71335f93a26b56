"""Dead letters: events that could not be handled, stored in the consumer's own database.

Operators list and replay them by `python -m ticketing_operations dead-letters`.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nats.aio.msg import Msg

from ticketing_common.observability.metrics import DEAD_LETTERS_KEPT
from ticketing_common.observability.redaction import redact
from ticketing_common.storage.mongo import Database
from ticketing_common.values.clock import now

_PAGE = 1_000
_FAILURES_KEPT = timedelta(days=7)
"""After the last failure. A message that keeps failing becomes a dead letter within minutes."""


@dataclass(frozen=True)
class DeadLetter:
    id: str
    """When the stream stored the message, and its sequence number. Old dead letters: the number only."""
    subject: str
    data: bytes
    trace: str | None
    reason: str
    detail: str
    at: datetime
    """When it was stored."""


class DeadLetters:
    """The dead letters of a service, and the number of failures of other messages."""

    def __init__(self, database: Database) -> None:
        self._collection = database["dead_letters"]
        self._failures = database["delivery_failures"]

    async def store(self, message: Msg, reason: str, detail: str) -> None:
        """Store a message with the reason. Idempotent."""
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
        """The number of dead letters; also sets the gauge."""
        count = int(await self._collection.estimated_document_count())
        DEAD_LETTERS_KEPT.set(count)
        return count

    async def ids(self) -> list[str]:
        """The ids of all dead letters, oldest first, then in the order of the stream."""
        found = await self._collection.find({}, {"at": 1}).to_list(None)
        return [str(d["_id"]) for d in sorted(found, key=lambda d: (d["at"], _sequence(d["_id"])))]

    async def read(self, ids: Sequence[str]) -> AsyncIterator[DeadLetter]:
        """The dead letters with these ids, in this order, without those that do not exist."""
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            found = await self._collection.find({"_id": {"$in": page}}).to_list(None)
            letters = {d["_id"]: d for d in found}
            for identity in page:
                if letter := letters.get(identity):
                    yield DeadLetter(id=letter.pop("_id"), **letter)

    async def remove(self, identity: str) -> None:
        await self._collection.delete_one({"_id": identity})

    async def count_failure(self, message: Msg) -> int:
        """Count one more failure of a message, over all replicas. Returns their number."""
        await self._failures.create_index("at", expireAfterSeconds=int(_FAILURES_KEPT.total_seconds()))
        counted = await self._failures.find_one_and_update(
            {"_id": _identity(message)},
            {"$inc": {"count": 1}, "$set": {"at": now()}},
            upsert=True,
            return_document=True,
        )
        return int(counted["count"])


def _identity(message: Msg) -> str:
    """The same at each delivery, and unique even if the stream is created again."""
    metadata = message.metadata
    return f"{metadata.timestamp:%Y%m%dT%H%M%S.%fZ}-{metadata.sequence.stream}"


def _sequence(identity: str) -> int:
    return int(identity.rpartition("-")[2])
