"""A payment in the states that tests begin with, and the intents that Stripe may return for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from payments.payment.models import Payment, apply_intent, record_intent, start_attempt
from payments.stripe.models import Decline, StripeIntent

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNPAID = Payment(
    id="p" * 24, order_id="o" * 24, user_id="buyer", amount_cents=1999, expires_at=NOW + timedelta(minutes=15)
)
BEGUN = record_intent(start_attempt(UNPAID, "buyer", NOW), "pi_1")

OPEN = StripeIntent(status="open", id="pi_1", amount_cents=1999)
DECLINED = replace(OPEN, decline=Decline("card_declined", "No."))
AUTHORISED = replace(OPEN, status="authorised")
CAPTURED = replace(OPEN, status="captured", kept_cents=1999)
REFUNDED = replace(CAPTURED, is_refunded=True, kept_cents=0)
REFUSED = replace(CAPTURED, refund_failure="charge_disputed")
CANCELED = replace(OPEN, status="canceled")
MISSING = StripeIntent(status="missing", id="pi_1")

PAID = apply_intent(BEGUN, AUTHORISED)
