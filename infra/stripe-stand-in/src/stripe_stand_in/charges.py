"""Owns the Charge as pure functions: one attempt to move an intent's money, and what becomes of it."""

from stripe_stand_in.cards import Decline
from stripe_stand_in.errors import Json
from stripe_stand_in.ids import new_id

_CARD_LOOKS = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
# What Stripe has room for and the stand-in has nothing to say about.
_EMPTY: Json = dict.fromkeys(
    """application application_fee application_fee_amount balance_transaction calculated_statement_descriptor
    customer failure_balance_transaction on_behalf_of receipt_number receipt_url review shipping source
    source_transfer statement_descriptor transfer_data transfer_group""".split()  # noqa: SIM905 - one name a line would bury the rest
)
_EMPTY_CARD: Json = dict.fromkeys(("installments", "mandate", "three_d_secure", "wallet"))


def new(intent: Json, method: Json, decline: Decline | None, now: int) -> Json:
    captured = decline is None and intent["capture_method"] != "manual"
    return {
        "id": new_id("ch_"),
        "object": "charge",
        **_EMPTY,
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if captured else 0,
        "amount_refunded": 0,
        "billing_details": method["billing_details"],
        "captured": captured,
        "created": now,
        "currency": intent["currency"],
        "description": intent["description"],
        "disputed": False,
        "failure_code": decline and decline.code,
        "failure_message": decline and decline.message,
        "fraud_details": {},
        "livemode": False,
        "metadata": intent["metadata"],
        "outcome": _outcome(decline),
        "paid": decline is None,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": {"card": _card_details(intent, method["card"], decline), "type": "card"},
        "radar_options": {},
        "receipt_email": intent["receipt_email"],
        "refunded": False,
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "failed" if decline else "succeeded",
    }


def _outcome(decline: Decline | None) -> Json:
    reason = decline and (decline.decline_code or decline.code)
    told = f"The bank returned the decline code `{reason}`." if decline else "Payment complete."
    return {
        **dict.fromkeys(("advice_code", "network_advice_code", "network_decline_code")),
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": reason,
        "risk_level": "normal",
        "risk_score": 30,
        "seller_message": told,
        "type": "issuer_declined" if decline else "authorized",
    }


def _card_details(intent: Json, card: Json, decline: Decline | None) -> Json:
    cvc_check = "fail" if decline and decline.code == "incorrect_cvc" else "pass"
    return {
        **_EMPTY_CARD,
        **{key: card[key] for key in _CARD_LOOKS},
        "amount_authorized": None if decline else intent["amount"],
        "checks": {**card["checks"], "cvc_check": card["checks"]["cvc_check"] and cvc_check},
        "network": card["brand"],
    }


def captured(charge: Json, amount: int) -> Json:
    """The rest of what was authorised goes back at once, which Stripe shows as refunded."""
    rest = charge["amount"] - amount
    return {**charge, "amount_captured": amount, "amount_refunded": rest, "captured": True}


def released(charge: Json) -> Json:
    return {**charge, "amount_refunded": charge["amount"], "refunded": True}
