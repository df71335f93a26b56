"""Stripe's events, as far as the service uses them."""

import json
from dataclasses import dataclass

from payments.payment.models import PaymentStatus
from ticketing_common.values.errors import MarketError

OUTDATED_FOR: dict[str, set[PaymentStatus]] = {
    "payment_intent.amount_capturable_updated": {"authorised", "captured", "refunded", "refund_failed"},
    "payment_intent.succeeded": {"captured", "refunded", "refund_failed"},
    "payment_intent.payment_failed": {"failed", "voided"},
    "payment_intent.canceled": {"voided"},
    "charge.refunded": {"refunded"},
    "charge.dispute.created": set(),
    "refund.failed": {"refund_failed"},
}
"""The types of events that matter, each with the payment states in which it is no news."""


class NotAnEvent(MarketError):
    message = "The body is not an event of Stripe"


@dataclass(frozen=True)
class StripeEvent:
    """A hint that something happened to a PaymentIntent. Its state is then read from Stripe."""

    id: str
    type: str
    intent_id: str | None


def parse_event(body: bytes) -> StripeEvent:
    """Raises NotAnEvent."""
    try:
        event = json.loads(body)
        event_id, event_type = str(event["id"]), str(event["type"])
        thing = event.get("data", {}).get("object", {})  # some types of events have none
        intent_id = thing["id"] if event_type.startswith("payment_intent.") else thing.get("payment_intent")
        return StripeEvent(event_id, event_type, intent_id and str(intent_id))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise NotAnEvent from None
