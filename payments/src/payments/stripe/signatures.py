"""Verifies that Stripe signed a webhook request."""

import stripe

from ticketing_common.values.errors import MarketError


class BadSignature(MarketError):
    message = "The signature is not valid, or too old"


def verify_signature(body: bytes, signature: str, secrets: list[str]) -> None:
    """Raises BadSignature unless Stripe signed the body with one of the secrets in the last 5 minutes."""
    if not any(_is_signed(body, signature, secret) for secret in secrets):
        raise BadSignature


def _is_signed(body: bytes, signature: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, stripe.Webhook.DEFAULT_TOLERANCE)
    except (
        stripe.SignatureVerificationError,
        UnicodeDecodeError,  # the body is not text
        TypeError,  # the signature is not ASCII
    ):
        return False
    return True
