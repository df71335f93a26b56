"""Identifies the caller by the API key of a request."""

import base64
import binascii
import hmac
from enum import IntEnum

from stripe_stand_in.errors import ApiError


class Caller(IntEnum):
    """In the order of what they may do."""

    ANYBODY = 0
    BROWSER = 1
    """Bears the publishable key."""
    SERVER = 2
    """Bears the secret key."""


def key_from_header(header: str) -> str | None:
    """The key of an Authorization header: the bearer token, or the user name of basic auth."""
    scheme, _, credentials = header.partition(" ")
    key = credentials.strip()
    if scheme.lower() == "basic":
        try:
            key = base64.b64decode(key, validate=True).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return None
    elif scheme.lower() != "bearer":
        return None
    return key or None


def identify_caller(key: str | None, secret: str, publishable: str | None) -> Caller:
    if key and hmac.compare_digest(key.encode(), secret.encode()):
        return Caller.SERVER
    if key and publishable and hmac.compare_digest(key.encode(), publishable.encode()):
        return Caller.BROWSER
    return Caller.ANYBODY


def not_allowed(caller: Caller, key: str | None) -> ApiError:
    """The error for a caller who may not make this call."""
    if caller == Caller.BROWSER:
        return ApiError("publishable_key")
    if key is None:
        return ApiError("no_api_key")
    shown = key[:8] + "*" * (len(key) - 12) + key[-4:] if len(key) > 16 else "*" * len(key)
    return ApiError("invalid_api_key", key=shown)
