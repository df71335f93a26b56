"""The HTTP side of Idempotency-Key: a repeated POST request takes effect once and returns its first response
again.

`storage.idempotency` stores the key, a hash of the body and the response in the document that the request
inserts. A repetition cannot succeed a second time: whatever rejects it, the stored response is looked up.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Header, Request, Response
from pydantic import AfterValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from ticketing_common.storage.idempotency import KeyedRequest, StoredResponse
from ticketing_common.values.errors import ErrorBody, MarketError

HEADER = "Idempotency-Key"
KEY_REUSED = "idempotency_key_reused"

_MAX_LENGTH = 64
_MALFORMED = f"{HEADER} must be 1 to {_MAX_LENGTH} visible ASCII characters"


class IdempotencyKeyReused(MarketError):
    message = f"This {HEADER} was already used with another body"

    def __init__(self) -> None:
        super().__init__(code=KEY_REUSED)


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
        description="Makes a retry safe: with the same key and body the request takes effect once, "
        "and every repetition returns the first response. Only 2xx responses are kept.",
    ),
]
"""The header as a parameter of a route."""

IDEMPOTENT_RESPONSES: Any = {
    400: {
        "model": ErrorBody,
        "description": f"Invalid input, or a rule of the market broken. Code `{KEY_REUSED}`: the "
        f"{HEADER} was already used with another body",
    }
}
"""The `responses` of a route with an Idempotency-Key, for the OpenAPI schema."""


async def read_keyed_request(
    request: Request, key: str | None, *, owner: str, secret: str | None = None
) -> KeyedRequest | None:
    """The request as it is stored beside its effect; None without a key. Raises MarketError for two keys.

    `owner`: the user or email whose key it is. `secret`: a field of the body that must not be hashed by a
    fast hash, a password; the caller compares it.
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


async def respond_once(
    request: KeyedRequest | None,
    act: Callable[[], Awaitable[str]],
    find: Callable[[bytes], Awaitable[StoredResponse | None]],
) -> str:
    """The response body of `act`, or the stored one if the same request has taken effect before.

    `act` inserts a document with `storage.idempotency.request_fields` and returns the response stored there.
    For a repetition it fails at the unique index, or at a rule that the first request's effect violates; then
    `find` looks up the stored response. Raises IdempotencyKeyReused, and what `act` and `find` raise.
    """
    if request is None:
        return await act()
    try:
        return await act()
    except MarketError:
        stored = await find(request.key)
        if stored is None:
            raise
    if stored.request_body != request.body:
        raise IdempotencyKeyReused
    return stored.body


def created_response(body: str) -> Response:
    return Response(body, 201, media_type="application/json")


def _number(digits: str) -> float:
    """An IEEE double, by which RFC 8785 compares numbers: 5, 5.0 and 5e0 are equal, and so are 0 and -0."""
    return float(digits) + 0.0


def _digest(value: Any) -> bytes:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
