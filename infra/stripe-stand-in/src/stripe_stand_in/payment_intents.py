"""The PaymentIntent as a state machine of pure functions, which take objects and return changed copies.

requires_payment_method --method--> requires_confirmation --confirm--+--automatic--> succeeded
    ^                                                                +--manual-----> requires_capture
    |                                                                |                  |
    +---declined, or authentication failed---------------------------+               capture
                                                                     |                  |
                                            requires_action <--3-D Secure     succeeded <-----+

From requires_action, a successful authentication continues like a confirmation. Every state except succeeded
and canceled can be canceled.
"""

import hmac
from typing import NamedTuple

from stripe_stand_in.cards import AFTER_AUTHENTICATION
from stripe_stand_in.charges import capture_charge, new_charge
from stripe_stand_in.errors import ApiError, Json, describe_error
from stripe_stand_in.objects import new_id, new_object
from stripe_stand_in.parameters import CancelIntent, CreateIntent
from stripe_stand_in.payment_methods import SPENT, Method

_ALLOWED = {
    "confirmed": ("You cannot confirm this PaymentIntent", "requires_confirmation, requires_action"),
    "authenticated": ("This PaymentIntent cannot be authenticated", "requires_action"),
    "captured": ("This PaymentIntent could not be captured", "requires_capture"),
    "canceled": (
        "You cannot cancel this PaymentIntent",
        "requires_payment_method, requires_capture, requires_reauthorization, requires_confirmation, "
        "requires_action, processing",
    ),
}
"""What can be done -> the beginning of Stripe's error, and the states that the error lists as allowed."""


class Result(NamedTuple):
    """Of a confirmation."""

    intent: Json
    charge: Json | None = None
    """None if the bank asks for the buyer first."""
    error: ApiError | None = None
    """The bank's decline."""


def new_intent(params: CreateIntent, now: int) -> Json:
    automatic = params.automatic_payment_methods
    is_automatic = automatic.enabled if automatic else params.payment_method_types is None
    redirects = automatic.allow_redirects if automatic else "always"
    intent = new_object(
        "payment_intent",
        now,
        amount=params.amount,
        automatic_payment_methods=({"allow_redirects": redirects, "enabled": True} if is_automatic else None),
        capture_method=params.capture_method,
        description=params.description,
        metadata=params.metadata,
        receipt_email=params.receipt_email,
        statement_descriptor_suffix=params.statement_descriptor_suffix,
    )
    return {**intent, "client_secret": f"{intent['id']}_secret_{new_id('')}"}


def require_state(intent: Json, done: str) -> None:
    """Raises Stripe's error unless the intent can be `done`, a key of _ALLOWED."""
    (problem, allowed), status = _ALLOWED[done], intent["status"]
    # An intent without a payment method can be confirmed with one, although Stripe's error does not list it.
    if status in allowed.split(", ") or (done == "confirmed" and status == "requires_payment_method"):
        return
    if (done, status) == ("confirmed", "succeeded"):
        raise ApiError("already_succeeded", details={"payment_intent": intent})
    values = {"problem": problem, "state": status, "done": done, "allowed": allowed}
    raise ApiError("unexpected_state", details={"payment_intent": intent}, **values)


def require_client_secret(intent: Json, client_secret: str) -> None:
    if not hmac.compare_digest(intent["client_secret"].encode(), client_secret.encode()):
        raise ApiError("wrong_client_secret")


def confirm(intent: Json, method: Method, now: int) -> Result:
    """Asks the bank for an authorisation, unless the bank asks for the buyer first (3-D Secure)."""
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always":
        raise ApiError("no_return_url", details={"payment_intent": intent})
    if method.outcome == SPENT:
        raise ApiError("spent_payment_method", details={"payment_intent": intent})
    if method.outcome not in AFTER_AUTHENTICATION:
        return authorise(intent, method.body, method.outcome, now)
    sdk = {
        "type": "three_d_secure_redirect",
        "stripe_js": f"https://hooks.stripe.com/3d_secure_2/{intent['id']}",
        "source": new_id("src_"),
    }
    action = {
        "last_payment_error": None,
        "next_action": {"type": "use_stripe_sdk", "use_stripe_sdk": sdk},
        "payment_method": method.body["id"],
        "status": "requires_action",
    }
    return Result({**intent, **action})


def authorise(intent: Json, method: Json, outcome: str, now: int) -> Result:
    """Asks the bank."""
    charge = new_charge(intent, method, outcome, now)
    if not charge["paid"]:
        return _decline(intent, method, charge, outcome)
    is_paid = charge["captured"]
    changes = {
        "amount_capturable": 0 if is_paid else intent["amount"],
        "amount_received": intent["amount"] if is_paid else 0,
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "next_action": None,
        "payment_method": method["id"],
        "status": "succeeded" if is_paid else "requires_capture",
    }
    return Result({**intent, **changes}, charge)


def _decline(intent: Json, method: Json, charge: Json, outcome: str) -> Result:
    details = {"charge": charge["id"], "payment_method": method}
    last_error = describe_error(outcome, 402) | details
    intent = {**_reopen(intent, last_error), "latest_charge": charge["id"]}
    error = ApiError(outcome, details=details | {"payment_intent": intent}, keeps_effects=True)
    return Result(intent, charge, error)


def _reopen(intent: Json, last_error: Json) -> Json:
    """Another payment method can be tried."""
    return {
        **intent,
        "last_payment_error": last_error,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }


def fail_authentication(intent: Json, method: Json) -> Json:
    error = describe_error("authentication_failed") | {"payment_method": method}
    return {**_reopen(intent, error), "latest_charge": None}


def capture(intent: Json, charge: Json, amount: int) -> tuple[Json, Json]:
    """The intent and its charge afterwards."""
    if amount > intent["amount_capturable"]:
        raise ApiError("capture_too_large", details={"payment_intent": intent})
    changes = {"amount_capturable": 0, "amount_received": amount, "status": "succeeded"}
    return {**intent, **changes}, capture_charge(charge, amount)


def cancel(intent: Json, params: CancelIntent, now: int) -> Json:
    changes = {
        "amount_capturable": 0,
        "canceled_at": now,
        "cancellation_reason": params.cancellation_reason,
        "next_action": None,
        "status": "canceled",
    }
    return {**intent, **changes}
