"""Owns the keys: who calls, by the key that a request bears, and who may call what."""

import base64
import binascii
import hmac
from enum import IntEnum

from stripe_stand_in.errors import Refusal, invalid, unauthorized


class Caller(IntEnum):
    """From the one who may do the least to the one who may do everything."""

    ANYBODY = 0
    BROWSER = 1
    """Bears the publishable key."""
    SERVER = 2
    """Bears the secret key."""


def borne(header: str) -> str | None:
    """The key in an Authorization header: bearer, or the user name of basic auth."""
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


def caller(key: str | None, secret: str, publishable: str | None) -> Caller:
    if key and hmac.compare_digest(key.encode(), secret.encode()):
        return Caller.SERVER
    if key and publishable and hmac.compare_digest(key.encode(), publishable.encode()):
        return Caller.BROWSER
    return Caller.ANYBODY


def refusal(caller: Caller, key: str | None) -> Refusal:
    """For a caller who may not do this."""
    if caller == Caller.BROWSER:
        message = (
            "This API call cannot be made with a publishable API key. Please use a secret API key. You can "
            "find a list of your API keys at https://dashboard.stripe.com/account/apikeys."
        )
        return invalid(message, code="secret_key_required", status=401)
    if key is None:
        return unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization "
            "header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See "
            "https://stripe.com/docs/api#authentication for details, or we can help at "
            "https://support.stripe.com/."
        )
    shown = key[:8] + "*" * (len(key) - 12) + key[-4:] if len(key) > 16 else "*" * len(key)
    return unauthorized(f"Invalid API Key provided: {shown}")
