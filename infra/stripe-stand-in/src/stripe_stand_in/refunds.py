"""Owns the Refund as pure functions: money of a charge that goes back, and may come back again."""

from stripe_stand_in.cards import REFUND_FAILS, REFUND_IS_PENDING
from stripe_stand_in.errors import Json, invalid
from stripe_stand_in.ids import new_id

FAILS = "refund fails"
SUCCEEDS = "refund succeeds"
_LATER = {REFUND_FAILS: FAILS, REFUND_IS_PENDING: SUCCEEDS}
# What Stripe has room for and the stand-in has nothing to say about.
_EMPTY: Json = dict.fromkeys(
    ("balance_transaction", "receipt_number", "source_transfer_reversal", "transfer_reversal")
)


def refuse(charge: Json, params: Json) -> int:
    """How many cents a refund would give back; refused where the charge has not as many."""
    name = charge["id"]
    left = charge["amount_captured"] - charge["amount_refunded"]
    if charge["disputed"]:
        raise invalid(f"Charge {name} has been charged back; cannot issue a refund.", code="charge_disputed")
    if charge["refunded"]:
        raise invalid(f"Charge {name} has already been refunded.", code="charge_already_refunded")
    if not charge["captured"]:
        raise invalid(f"Charge {name} has not been captured; the stand-in refunds captured charges only.")
    amount = int(params.get("amount", left))
    if amount > left:
        whole = left == charge["amount_captured"]
        message = f"Refund amount (${amount / 100:,.2f}) is greater than " + (
            f"charge amount (${left / 100:,.2f})"
            if whole
            else f"unrefunded amount on charge (${left / 100:,.2f})"
        )
        raise invalid(message, param="amount")
    return amount


def new(charge: Json, amount: int, params: Json, outcome: str | None, now: int) -> Json:
    return {
        "id": new_id("re_"),
        "object": "refund",
        **_EMPTY,
        "amount": amount,
        "charge": charge["id"],
        "created": now,
        "currency": charge["currency"],
        "destination_details": {
            "card": {
                "reference_status": "pending",
                "reference_type": "acquirer_reference_number",
                "type": "refund",
            },
            "type": "card",
        },
        "metadata": {key: value for key, value in params.get("metadata", {}).items() if value},
        "payment_intent": charge["payment_intent"],
        "reason": params.get("reason"),
        "status": "pending" if outcome == REFUND_IS_PENDING else "succeeded",
    }


def later(outcome: str | None) -> str | None:
    """What is still to come of a refund of such a card."""
    return _LATER.get(outcome or "")


def failed(refund: Json) -> Json:
    return {**refund, "failure_reason": "expired_or_canceled_card", "status": "failed"}


def succeeded(refund: Json) -> Json:
    return {**refund, "status": "succeeded"}


def gone(charge: Json, amount: int) -> Json:
    """The charge after so much went back (or came again, when negative)."""
    refunded = charge["amount_refunded"] + amount
    return {**charge, "amount_refunded": refunded, "refunded": refunded == charge["amount_captured"]}
