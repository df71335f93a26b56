"""What Stripe has of a payment."""

from dataclasses import dataclass
from typing import Literal

IntentStatus = Literal["missing", "open", "action", "authorised", "captured", "canceled"]
"""missing: unknown to Stripe. open: not authorised. action: the buyer has to authenticate at the bank."""


@dataclass(frozen=True)
class Decline:
    """Why the bank declined a card."""

    code: str
    message: str
    """For the buyer."""


@dataclass(frozen=True, kw_only=True)
class NewIntent:
    """A PaymentIntent to create."""

    order_id: str
    payment_id: str
    amount_cents: int
    idempotency_key: str


@dataclass(frozen=True, kw_only=True)
class StripeIntent:
    """A PaymentIntent and its charge, as Stripe returned them."""

    status: IntentStatus
    id: str
    amount_cents: int = 0
    kept_cents: int = 0
    """Captured and not refunded."""
    order_id: str | None = None
    """From the metadata; None: this service did not create the intent."""
    payment_id: str | None = None
    client_secret: str | None = None
    decline: Decline | None = None
    """Of the last card."""
    is_refunded: bool = False
    """In full."""
    refund_failure: str | None = None
    """Stripe's code, if our refund failed."""
