"""Owns the PaymentIntent as a pure state machine: from objects as they are to objects as they become.

requires_payment_method --method--> requires_confirmation --confirm--+--automatic--> succeeded
    ^                                                                +--manual-----> requires_capture
    |                                                                |                  |
    +---declined, or authentication failed---------------------------+               capture
                                                                     |                  |
                                            requires_action <--3-D Secure     succeeded <-----+

From requires_action an authentication goes on as a confirmation does. Any state but succeeded and canceled
can be canceled.
"""

import hmac
from collections.abc import Sequence
from typing import NamedTuple

from stripe_stand_in import charges
from stripe_stand_in.cards import AFTER_AUTHENTICATION, DECLINES, UNAUTHENTICATED, Decline
from stripe_stand_in.errors import Json, Refusal, card_error, doc_url, invalid
from stripe_stand_in.ids import new_id
from stripe_stand_in.payment_methods import SPENT, Method

# As Stripe lists them in its refusals, with those that the stand-in never reaches.
_UNPAID = ("requires_payment_method", "requires_confirmation", "requires_action")
_CANCELABLE = (
    *("requires_payment_method", "requires_capture", "requires_reauthorization"),
    *("requires_confirmation", "requires_action", "processing"),
)
# What Stripe has room for and the stand-in has nothing to say about.
_EMPTY: Json = dict.fromkeys(
    """application application_fee_amount customer customer_account excluded_payment_method_types
    on_behalf_of payment_method_configuration_details processing review setup_future_usage shipping source
    statement_descriptor transfer_data transfer_group""".split()  # noqa: SIM905 - one name a line would bury the rest
)
_NOTHING_YET: Json = dict.fromkeys(
    (
        *("canceled_at", "cancellation_reason", "last_payment_error", "latest_charge", "next_action"),
        "payment_method",
    )
)
_CARD_OPTIONS = {
    **dict.fromkeys(("installments", "mandate_options", "network")),
    "request_three_d_secure": "automatic",
}


class Outcome(NamedTuple):
    """What became of an intent: itself, its charge if the bank was asked, and the answer if that is a no."""

    intent: Json
    charge: Json | None = None
    refusal: Refusal | None = None


def new(params: Json, now: int) -> Json:
    intent_id = new_id("pi_")
    types = params.get("payment_method_types")
    automatic = params.get("automatic_payment_methods", {"enabled": types is None})
    options = params.get("payment_method_options", {}).get("card", {})
    return {
        "id": intent_id,
        "object": "payment_intent",
        **_EMPTY,
        **_NOTHING_YET,
        "amount": params["amount"],
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "automatic_payment_methods": {"allow_redirects": "always", **automatic}
        if automatic["enabled"]
        else None,
        "capture_method": params.get("capture_method", "automatic_async"),
        "client_secret": f"{intent_id}_secret_{new_id('')}",
        "confirmation_method": params.get("confirmation_method", "automatic"),
        "created": now,
        "currency": params["currency"],
        "description": params.get("description"),
        "livemode": False,
        "metadata": _merged({}, params.get("metadata", {})),
        "payment_method_options": {"card": {**_CARD_OPTIONS, **options}},
        "payment_method_types": types or ["card"],
        "receipt_email": params.get("receipt_email"),
        "statement_descriptor_suffix": params.get("statement_descriptor_suffix"),
        "status": "requires_payment_method",
    }


def _merged(metadata: Json, changes: Json | None) -> Json:
    """None clears everything; an empty text deletes its key."""
    if changes is None:
        return {}
    return {key: value for key, value in {**metadata, **changes}.items() if value != ""}


def with_method(intent: Json, method: Method) -> Json:
    return {**intent, "payment_method": method.body["id"], "status": "requires_confirmation"}


def update(intent: Json, params: Json) -> Json:
    for name in ("amount", "payment_method", "payment_method_data"):
        if name in params and intent["status"] not in _UNPAID:
            only = f"You may only update the {name} of a PaymentIntent with one of the following statuses"
            raise _wrong_status(
                intent, f"This PaymentIntent's {name} could not be updated", only, _UNPAID, name
            )
    plain = ("amount", "description", "receipt_email", "statement_descriptor_suffix")
    changes = {name: params[name] for name in plain if name in params}
    if "metadata" in params:
        changes["metadata"] = _merged(intent["metadata"], params["metadata"])
    return {**intent, **changes}


def refuse_confirm(intent: Json) -> None:
    """Unless the intent is in a state to be confirmed."""
    cannot = "You cannot confirm this PaymentIntent"
    if intent["status"] == "succeeded":
        why = "it has already succeeded after being previously confirmed."
        raise unexpected_state(intent, f"{cannot} because {why}")
    if intent["status"] not in _UNPAID:
        raise _wrong_status(intent, cannot, _only("confirmed"), ("requires_confirmation", "requires_action"))


def confirm(intent: Json, method: Method, params: Json, now: int) -> Outcome:
    """The bank is asked, unless it wants the buyer first (3-D Secure)."""
    automatic = intent["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and "return_url" not in params:
        raise invalid(
            "This PaymentIntent is configured to accept payment methods enabled in your Dashboard. "
            "Because some of these payment methods might redirect your customer off of your page, you "
            "must provide a `return_url`. If you don't want to accept redirect-based payment methods, set "
            "`automatic_payment_methods[enabled]` to `true` and "
            "`automatic_payment_methods[allow_redirects]` to `never` when creating Setup Intents and "
            "Payment Intents.",
            payment_intent=intent,
        )
    if method.outcome == SPENT:
        raise invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer "
            "attachment, shared with a connected account without Customer attachment, or was detached "
            "from a Customer. It may not be used again. To use a PaymentMethod multiple times, you must "
            "attach it to a Customer first.",
            payment_intent=intent,
        )
    if method.outcome not in AFTER_AUTHENTICATION:
        return charged(intent, method.body, DECLINES.get(method.outcome), now)
    if params.get("error_on_requires_action"):
        return charged(intent, method.body, UNAUTHENTICATED, now)
    action = {
        "last_payment_error": None,
        "next_action": _next_action(intent, params),
        "payment_method": method.body["id"],
        "status": "requires_action",
    }
    return Outcome({**intent, **action})


def _next_action(intent: Json, params: Json) -> Json:
    bank = f"https://hooks.stripe.com/3d_secure_2/{intent['id']}"
    if "return_url" in params and not params.get("use_stripe_sdk"):
        return {
            "type": "redirect_to_url",
            "redirect_to_url": {"return_url": params["return_url"], "url": bank},
        }
    return {
        "type": "use_stripe_sdk",
        "use_stripe_sdk": {"type": "three_d_secure_redirect", "stripe_js": bank, "source": new_id("src_")},
    }


def refuse_stranger(intent: Json, client_secret: str) -> None:
    """Unless it is the buyer, who was given this intent's secret."""
    if not hmac.compare_digest(intent["client_secret"].encode(), client_secret.encode()):
        raise invalid(
            "The client_secret provided does not match the client_secret associated with the PaymentIntent.",
            param="client_secret",
            code="payment_intent_invalid_parameter",
        )


def refuse_authenticate(intent: Json) -> None:
    """Unless the intent waits for its buyer."""
    if intent["status"] != "requires_action":
        cannot = "This PaymentIntent cannot be authenticated"
        raise _wrong_status(intent, cannot, _only("authenticated"), ("requires_action",))


def fail_authentication(intent: Json, method: Json) -> Json:
    code = "payment_intent_authentication_failure"
    error = {
        "code": code,
        "doc_url": doc_url(code),
        "message": "The provided PaymentMethod has failed authentication. You can provide "
        "payment_method_data or a new PaymentMethod to attempt to fulfill this PaymentIntent again.",
        "payment_method": method,
        "type": "invalid_request_error",
    }
    return {**intent, **_open_again(error), "latest_charge": None}


def _open_again(error: Json) -> Json:
    return {
        "last_payment_error": error,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }


def charged(intent: Json, method: Json, decline: Decline | None, now: int) -> Outcome:
    """After the bank was asked; a refusal is the answer when it said no."""
    charge = charges.new(intent, method, decline, now)
    if decline is None:
        paid = charge["captured"]
        authorized = {
            "amount_capturable": 0 if paid else intent["amount"],
            "amount_received": intent["amount"] if paid else 0,
            "last_payment_error": None,
            "latest_charge": charge["id"],
            "next_action": None,
            "payment_method": method["id"],
            "status": "succeeded" if paid else "requires_capture",
        }
        return Outcome({**intent, **authorized}, charge)
    reason = {
        "charge": charge["id"],
        "decline_code": decline.decline_code,
        "param": decline.param,
        "payment_method": method,
    }
    error = {
        **{key: value for key, value in reason.items() if value is not None},
        "code": decline.code,
        "doc_url": doc_url(decline.code),
        "message": decline.message,
        "type": "card_error",
    }
    intent = {**intent, **_open_again(error), "latest_charge": charge["id"]}
    refusal = card_error(decline.code, decline.message, payment_intent=intent, stands=True, **reason)
    return Outcome(intent, charge, refusal)


def refuse_capture(intent: Json) -> None:
    """Unless the intent is in a state to be captured."""
    if intent["status"] != "requires_capture":
        raise _wrong_status(
            intent, "This PaymentIntent could not be captured", _only("captured"), ("requires_capture",)
        )


def capture(intent: Json, charge: Json, params: Json) -> tuple[Json, Json]:
    amount = params["amount_to_capture"] if "amount_to_capture" in params else intent["amount_capturable"]
    if amount > intent["amount_capturable"]:
        raise invalid(
            "The payment could not be captured because the requested capture amount is greater than the "
            "amount you can capture for this charge.",
            param="amount_to_capture",
            code="amount_too_large",
            payment_intent=intent,
        )
    taken = {"amount_capturable": 0, "amount_received": amount, "status": "succeeded"}
    return {**update(intent, params), **taken}, charges.captured(charge, amount)


def cancel(intent: Json, params: Json, now: int) -> Json:
    if intent["status"] not in _CANCELABLE:
        raise _wrong_status(intent, "You cannot cancel this PaymentIntent", _only("canceled"), _CANCELABLE)
    canceled = {
        "amount_capturable": 0,
        "canceled_at": now,
        "cancellation_reason": params.get("cancellation_reason"),
        "next_action": None,
        "status": "canceled",
    }
    return {**intent, **canceled}


def _only(done: str) -> str:
    return f"Only a PaymentIntent with one of the following statuses may be {done}"


def _wrong_status(
    intent: Json, cannot: str, only: str, statuses: Sequence[str], param: str | None = None
) -> Refusal:
    message = f"{cannot} because it has a status of {intent['status']}. {only}: {', '.join(statuses)}."
    return unexpected_state(intent, message, param)


def unexpected_state(intent: Json, message: str, param: str | None = None) -> Refusal:
    return invalid(message, param=param, code="payment_intent_unexpected_state", payment_intent=intent)
