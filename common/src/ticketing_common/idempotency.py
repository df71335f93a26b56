"""Idempotency-Key: a POST request that is repeated takes effect once and returns its first answer again.

The document that a request inserts also stores the request's key, a hash of its body and its answer, under
a unique index. One insert commits the effect and the key, so neither a crash nor a time-out can separate
them. A repetition cannot succeed a second time: whatever refuses it, its first answer is looked up.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header, Request, Response
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError
from pymongo import IndexModel

from ticketing_common.clock import now
from ticketing_common.errors import ErrorBody, MarketError, Unavailable

HEADER = "Idempotency-Key"
KEY_REUSED = "idempotency_key_reused"

INDEX = IndexModel(
    [("request.key", 1)],
    unique=True,
    partialFilterExpression={"request.key": {"$exists": True}},
    name="idempotency_key",
)

_MAX_LENGTH = 64
_MALFORMED = f"{HEADER} must be 1 to {_MAX_LENGTH} visible ASCII characters"


class KeyReused(MarketError):
    message = f"This {HEADER} was already used with another body"

    def __init__(self) -> None:
        super().__init__(code=KEY_REUSED)


class KeyTaken(Unavailable):
    """The unique index already has the key: another request with it has taken effect."""


def is_well_formed(key: str) -> bool:
    return 1 <= len(key) <= _MAX_LENGTH and all("!" <= character <= "~" for character in key)


def _check_form(key: str) -> str:
    if not is_well_formed(key):
        raise PydanticCustomError("invalid", "{message}", {"message": _MALFORMED})
    return key


IdempotencyKey = Annotated[
    Annotated[
        str,
        AfterValidator(_check_form),
        WithJsonSchema({"type": "string", "pattern": rf"^[!-~]{{1,{_MAX_LENGTH}}}$"}),
    ]
    | None,
    Header(
        alias=HEADER,
        description="Makes a repetition safe: with the same key and body it takes effect once, "
        "and each time the first answer is returned. Kept only if the answer is 2xx.",
    ),
]
"""The header as a route's parameter."""

REPEATABLE: Any = {
    400: {
        "model": ErrorBody,
        "description": f"Invalid input, or a rule of the market broken. Code `{KEY_REUSED}`: the "
        f"{HEADER} was already used with another body",
    }
}
"""What the schema of a route with an Idempotency-Key adds to `responses`."""


@dataclass(frozen=True)
class KeyedRequest:
    """A request with an Idempotency-Key."""

    key: bytes
    """SHA-256 of route, owner and key."""
    body: bytes
    """SHA-256 of the body's JSON value."""


@dataclass(frozen=True)
class StoredAnswer:
    """The first answer to a key."""

    body: bytes
    """As in KeyedRequest, of the request that was answered."""
    answer: str
    """The body of the 201 response, as it was sent."""


async def keyed_request(
    request: Request, key: str | None, *, owner: str, secret: str | None = None
) -> KeyedRequest | None:
    """The request as stored beside its effect; None without a key. Raises MarketError for a second key.

    `owner`: to whom the key belongs. `secret`: a field of the body that must not be hashed fast, a password;
    the caller compares it.
    """
    if key is None:
        return None
    if len(request.headers.getlist(HEADER)) > 1:
        raise MarketError(_MALFORMED, field=HEADER)
    try:
        value = json.loads(await request.body(), parse_int=_number, parse_float=_number)
        value.pop(secret, None)
        return KeyedRequest(key=_digest([request.scope["route"].path, owner, key]), body=_digest(value))
    except RecursionError:
        raise MarketError("The body is nested too deeply") from None


def derive_request(request: KeyedRequest | None, answer: str) -> dict[str, Any]:
    """The derived field that an insert adds to its document: none without a key."""
    if request is None:
        return {}
    return {"request": {"key": request.key, "body": request.body, "answer": answer}}


async def find_answer(collection: Any, key: bytes) -> StoredAnswer | None:
    """The stored answer to this key, if it is durable. Raises Unavailable if that is not certain."""
    found = await collection.find_one({"request.key": key}, {"request": 1})
    if found is None:
        return None
    # The insert may be visible before it is in the journal of a majority. A later write that is acknowledged
    # proves that the insert is, too, so an answer given again is never lost.
    proof = await collection.update_one({"_id": found["_id"]}, {"$set": {"request.repeated_at": now()}})
    if not proof.matched_count:
        raise Unavailable
    return StoredAnswer(body=found["request"]["body"], answer=found["request"]["answer"])


async def answer_once(
    request: KeyedRequest | None,
    act: Callable[[], Awaitable[str]],
    find: Callable[[bytes], Awaitable[StoredAnswer | None]],
) -> str:
    """The answer of `act`, or the stored one if the same request took effect before.

    `act` inserts a document with `derive_request` and returns the answer stored there. For a repetition it
    fails at the unique index or at a rule that the first request's own effect breaks; then `find` is asked.
    Raises KeyReused, and what `act` and `find` raise.
    """
    if request is None:
        return await act()
    try:
        return await act()
    except MarketError:
        stored = await find(request.key)
        if stored is None:
            raise
    if stored.body != request.body:
        raise KeyReused
    return stored.answer


def created(answer: str) -> Response:
    return Response(answer, 201, media_type="application/json")


def _number(digits: str) -> float:
    """As an IEEE double, as RFC 8785 compares numbers: 5, 5.0 and 5e0 are equal, and so are 0 and -0."""
    return float(digits) + 0.0


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
