"""Owns PaymentMethod and Token objects: making them from cards, and finding them by id or by test name."""

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

from stripe_stand_in import cards
from stripe_stand_in.errors import Json, invalid, missing
from stripe_stand_in.ids import new_id
from stripe_stand_in.store import Store

# The outcome of a payment method that has paid once: without a customer there is no second time.
SPENT = "spent"

_NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
_NO_BILLING = {**dict.fromkeys(("email", "name", "phone", "tax_id")), "address": _NO_ADDRESS}
_TOKEN_BRANDS = {
    "visa": "Visa",
    "mastercard": "MasterCard",
    "amex": "American Express",
    "discover": "Discover",
    "diners": "Diners Club",
    "jcb": "JCB",
    "unionpay": "UnionPay",
}


class Method(NamedTuple):
    """A payment method, and what becomes of a charge to it."""

    body: Json
    outcome: str


def find(store: Store, method_id: str, now: int, *, param: str, status: int = 400) -> Method:
    """The payment method with this id; as with Stripe, each use of a test name makes a new one."""
    known = cards.named(method_id, "pm_card_")
    if known is not None:
        return _make(store, _sample(known, now), now)
    kept = store.get("payment_method", method_id)
    if kept is None:
        raise missing("PaymentMethod", method_id, param=param, status=status)
    return Method(kept.body, str(kept.hidden))


def from_data(store: Store, data: Json, now: int, name: str) -> Method:
    """A new payment method, from the fields of POST /v1/payment_methods or of `payment_method_data`."""
    card: Json = data["card"]
    absent = next((key for key in ("number", "exp_month", "exp_year") if key not in card), None)
    if "token" in card:
        method = _from_token(store, card["token"], now, f"{name}[token]")
    elif absent:
        raise invalid(
            f"Missing required param: {name}[{absent}].", param=f"{name}[{absent}]", code="parameter_missing"
        )
    else:
        method = _make(store, cards.look_at(card, now), now)
    billing = data.get("billing_details", {})
    given = {
        "billing_details": {
            **_NO_BILLING,
            **billing,
            "address": {**_NO_ADDRESS, **billing.get("address", {})},
        },
        "metadata": {key: value for key, value in data.get("metadata", {}).items() if value},
    }
    method = Method(method.body | given, method.outcome)
    store.replace(method.body, method.outcome)
    return method


def _from_token(store: Store, token_id: str, now: int, param: str) -> Method:
    known = cards.named(token_id, "tok_")
    if known is not None:
        return _make(store, _sample(known, now), now)
    token = store.get("token", token_id)
    if token is None:
        raise missing("token", token_id, param=param)
    if token.body["used"]:
        message = f"You cannot use a Stripe token more than once: {token_id}."
        raise invalid(message, param=param, code="token_already_used")
    store.replace(token.body | {"used": True}, token.hidden)
    return find(store, str(token.hidden), now, param=param)


def new_token(store: Store, card: Json, now: int, client_ip: str | None) -> Json:
    """A token, good for one use. The payment method that it will turn into is made with it and hidden."""
    method = _make(store, cards.look_at(card, now), now).body
    looks = {
        key: method["card"][key]
        for key in ("country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    }
    body = {
        "id": new_id("tok_"),
        "object": "token",
        "card": {
            "id": new_id("card_"),
            "object": "card",
            **dict.fromkeys(("address_city", "address_country", "address_line1", "address_line1_check")),
            **dict.fromkeys(("address_line2", "address_state", "address_zip", "address_zip_check")),
            "brand": _TOKEN_BRANDS.get(method["card"]["brand"], "Unknown"),
            **looks,
            "cvc_check": method["card"]["checks"]["cvc_check"],
            "dynamic_last4": None,
            "metadata": {},
            "name": card.get("name"),
            "networks": {"preferred": None},
            "regulated_status": "unregulated",
            "tokenization_method": None,
        },
        "client_ip": client_ip,
        "created": now,
        "livemode": False,
        "type": "card",
        "used": False,
    }
    store.insert(body, method["id"])
    return body


def _sample(known: cards.KnownCard, now: int) -> Json:
    today = datetime.fromtimestamp(now, UTC)
    return {"number": known.number, "exp_month": today.month, "exp_year": today.year + 1, "cvc": "123"}


def _make(store: Store, card: Json, now: int) -> Method:
    """A payment method for a card that passed `cards.look_at`; its number is not kept."""
    known = cards.numbered(card["number"])
    cvc_given = "cvc" in card
    body = {
        "id": new_id("pm_"),
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": _NO_BILLING,
        "card": {
            "brand": known.brand,
            "checks": {
                "address_line1_check": None,
                "address_postal_code_check": None,
                "cvc_check": "unchecked" if cvc_given else None,
            },
            "country": "US",
            "display_brand": known.brand,
            "exp_month": card["exp_month"],
            "exp_year": card["exp_year"],
            "fingerprint": hashlib.sha256(card["number"].encode()).hexdigest()[:16],
            "funding": known.funding,
            "generated_from": None,
            "last4": card["number"][-4:],
            "networks": {"available": [known.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": known.brand != "amex"},
            "wallet": None,
        },
        "created": now,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": "card",
    }
    outcome = cards.outcome_of(known, cvc_given=cvc_given)
    store.insert(body, outcome)
    return Method(body, outcome)
