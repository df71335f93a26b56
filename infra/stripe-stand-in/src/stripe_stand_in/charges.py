"""The Charge: one attempt to authorise an intent's amount. Refunds and disputes change it."""

from stripe_stand_in.cards import REFUND_FAILS, REFUND_IS_PENDING
from stripe_stand_in.errors import DECLINES, ApiError, Json
from stripe_stand_in.objects import TEMPLATES, new_object
from stripe_stand_in.parameters import CreateRefund

FAIL_REFUND = "refund fails"
COMPLETE_REFUND = "refund succeeds"
DELAYED_RESULTS = {REFUND_FAILS: FAIL_REFUND, REFUND_IS_PENDING: COMPLETE_REFUND}
"""The chore that finishes a refund to such a card."""
_CARD_FIELDS = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
_WEEK = 7 * 24 * 3600


def new_charge(intent: Json, method: Json, outcome: str, now: int) -> Json:
    decline = DECLINES.get(outcome)
    captured = decline is None and intent["capture_method"] != "manual"
    copied = ("amount", "currency", "description", "metadata", "receipt_email", "statement_descriptor_suffix")
    charge = new_object(
        "charge",
        now,
        **{name: intent[name] for name in copied},
        amount_captured=intent["amount"] if captured else 0,
        billing_details=method["billing_details"],
        captured=captured,
        payment_intent=intent["id"],
        payment_method=method["id"],
        payment_method_details={"card": _card_details(intent, method["card"], decline), "type": "card"},
    )
    if decline is None:
        return charge
    reason = decline.get("decline_code", decline["code"])
    changes = {
        "network_status": "declined_by_network",
        "reason": reason,
        "seller_message": f"The bank returned the decline code `{reason}`.",
        "type": "issuer_declined",
    }
    return {
        **charge,
        "failure_code": decline["code"],
        "failure_message": decline["message"],
        "outcome": {**charge["outcome"], **changes},
        "paid": False,
        "status": "failed",
    }


def _card_details(intent: Json, card: Json, decline: Json | None) -> Json:
    cvc_check = "fail" if decline and decline["code"] == "incorrect_cvc" else "pass"
    return {
        **TEMPLATES["charge"]["payment_method_details"]["card"],
        **{name: card[name] for name in _CARD_FIELDS},
        "amount_authorized": None if decline else intent["amount"],
        "checks": {**card["checks"], "cvc_check": card["checks"]["cvc_check"] and cvc_check},
        "network": card["brand"],
    }


def capture_charge(charge: Json, amount: int) -> Json:
    """Releases the rest of the authorised amount, which Stripe shows as refunded."""
    released = charge["amount"] - amount
    return {**charge, "amount_captured": amount, "amount_refunded": released, "captured": True}


def refundable_amount(charge: Json, params: CreateRefund) -> int:
    """The cents that the refund returns. Raises Stripe's error if they are not available."""
    left: int = charge["amount_captured"] - charge["amount_refunded"]
    if charge["disputed"]:
        raise ApiError("charge_disputed", id=charge["id"])
    if charge["refunded"]:
        raise ApiError("charge_refunded", id=charge["id"])
    amount = params.amount or left
    if amount > left:
        available = "charge amount" if left == charge["amount_captured"] else "unrefunded amount on charge"
        raise ApiError("refund_too_large", amount=amount / 100, available=available, left=left / 100)
    return amount


def new_refund(charge: Json, amount: int, params: CreateRefund, outcome: str, now: int) -> Json:
    return new_object(
        "refund",
        now,
        amount=amount,
        charge=charge["id"],
        currency=charge["currency"],
        metadata=params.metadata,
        payment_intent=charge["payment_intent"],
        reason=params.reason,
        status="pending" if outcome == REFUND_IS_PENDING else "succeeded",
    )


def refund_charge(charge: Json, amount: int) -> Json:
    """A negative amount reverts a refund that failed."""
    refunded = charge["amount_refunded"] + amount
    return {**charge, "amount_refunded": refunded, "refunded": refunded == charge["amount_captured"]}


def new_dispute(charge: Json, now: int) -> Json:
    """The buyer disputes the charge with the bank."""
    details = TEMPLATES["dispute"]["evidence_details"] | {"due_by": now + _WEEK}
    return new_object(
        "dispute",
        now,
        amount=charge["amount_captured"],
        charge=charge["id"],
        currency=charge["currency"],
        evidence_details=details,
        payment_intent=charge["payment_intent"],
    )
