"""The stored side of Idempotency-Key: the document that a request inserts also stores its key and its
response.

One insert commits the effect and the key under a unique index, so neither a crash nor a time-out can separate
them. `http.idempotency` has the HTTP side.
"""

from dataclasses import dataclass
from typing import Any

from pymongo import IndexModel

from ticketing_common.values.clock import now
from ticketing_common.values.errors import Unavailable

IDEMPOTENCY_INDEX = IndexModel(
    [("request.key", 1)],
    unique=True,
    partialFilterExpression={"request.key": {"$exists": True}},
    name="idempotency_key",
)


class IdempotencyKeyTaken(Unavailable):
    """The unique index already has the key: another request with it has taken effect."""


@dataclass(frozen=True)
class KeyedRequest:
    """A request with an Idempotency-Key."""

    key: bytes
    """SHA-256 of route, owner and key."""
    body: bytes
    """SHA-256 of the body's JSON value."""


@dataclass(frozen=True)
class StoredResponse:
    """The first response to a key."""

    request_body: bytes
    """`KeyedRequest.body` of the request that was answered."""
    body: str
    """The body of the 201 response, as it was sent."""


def request_fields(request: KeyedRequest | None, response_body: str) -> dict[str, Any]:
    """The fields that an insert adds to its document; none without a key."""
    if request is None:
        return {}
    return {"request": {"key": request.key, "body": request.body, "answer": response_body}}


async def find_stored_response(collection: Any, key: bytes) -> StoredResponse | None:
    """The stored response to this key, if it is durable. Raises Unavailable if that is not certain."""
    found = await collection.find_one({"request.key": key}, {"request": 1})
    if found is None:
        return None
    # The insert may be visible before a majority has journaled it. Once this later write is acknowledged, the
    # insert is durable, too, so a response that is returned again is never lost.
    update = await collection.update_one({"_id": found["_id"]}, {"$set": {"request.repeated_at": now()}})
    if not update.matched_count:
        raise Unavailable
    return StoredResponse(request_body=found["request"]["body"], body=found["request"]["answer"])
