"""Stripe's events: their signature is checked, and what we need of them is read."""

import json
from dataclasses import dataclass

import stripe

from ticketing_common.values.errors import MarketError


class BadSignature(MarketError):
    message = "The signature is not valid, or too old"


@dataclass(frozen=True)
class StripeEvent:
    """What a webhook tells, as far as we believe it: which intent to look at."""

    id: str
    type: str
    intent_id: str | None


def read_event(body: bytes, signature: str, secrets: list[str]) -> StripeEvent:
    """An event that Stripe has signed with one of the secrets in the last 5 minutes. Raises BadSignature."""
    if not any(_is_signed(body, signature, secret) for secret in secrets):
        raise BadSignature
    try:
        event = json.loads(body)
        event_id, kind = str(event["id"]), str(event["type"])
        about = event.get("data", {}).get("object", {})  # not every kind that we do not know has one
        intent_id = about["id"] if kind.startswith("payment_intent.") else about.get("payment_intent")
        return StripeEvent(event_id, kind, intent_id and str(intent_id))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise BadSignature("The body is not an event of Stripe") from None


def _is_signed(body: bytes, signature: str, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, stripe.Webhook.DEFAULT_TOLERANCE)
    except (
        stripe.SignatureVerificationError,
        UnicodeDecodeError,  # the body is no text
        TypeError,  # the signature is not ASCII
    ):
        return False
    return True
