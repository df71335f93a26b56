"""A payment and what Stripe may say of it, in the states that the tests begin with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from payments.models import Decline, Payment, Seen, begin, note, observe

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNPAID = Payment(
    id="p" * 24, order_id="o" * 24, user_id="buyer", amount_cents=1999, expires_at=NOW + timedelta(minutes=15)
)
BEGUN = note(begin(UNPAID, "buyer", NOW), "pi_1")

OPEN = Seen(status="open", stripe_id="pi_1", amount_cents=1999)
DECLINED = replace(OPEN, decline=Decline("card_declined", "No."))
AUTHORISED = replace(OPEN, status="authorised")
CAPTURED = replace(OPEN, status="captured", taken_cents=1999)
REFUNDED = replace(CAPTURED, refunded=True, taken_cents=0)
REFUSED = replace(CAPTURED, refund_refused="charge_disputed")
CANCELED = replace(OPEN, status="canceled")
MISSING = Seen(status="missing", stripe_id="pi_1")

PAID = observe(BEGUN, AUTHORISED)
