"""PaymentMethods: created from a card's details, a test token or a test name, and found by id."""

import hashlib
from datetime import UTC, datetime
from typing import NamedTuple

from stripe_stand_in import cards
from stripe_stand_in.errors import ApiError, Json, resource_missing
from stripe_stand_in.objects import TEMPLATES, new_object
from stripe_stand_in.parameters import CardDetails
from stripe_stand_in.store import Store

SPENT = "spent"
"""The outcome of a payment method that has paid: without a customer it pays once."""


class Method(NamedTuple):
    body: Json
    outcome: str
    """Of a charge to it (see cards.py)."""


def find_method(store: Store, method_id: str, now: int) -> Method:
    """Each use of a test name creates a new payment method, as with Stripe."""
    known = cards.find_by_name(method_id, "pm_card_")
    if known is not None:
        return _create_sample(store, known, now)
    stored = store.get("payment_method", method_id)
    if stored is None:
        raise resource_missing("payment_method", method_id, param="payment_method")
    return Method(stored.body, stored.outcome)


def create_method(store: Store, card: CardDetails, now: int, param: str) -> Method:
    """`param`: the name of the parameter that contains the card."""
    if card.token:
        known = cards.find_by_name(card.token, "tok_")
        if known is None:
            raise resource_missing("token", card.token, param=f"{param}[token]")
        return _create_sample(store, known, now)
    for name in ("number", "exp_month", "exp_year"):
        if getattr(card, name) is None:
            raise ApiError("missing", param=f"{param}[{name}]")
    number, year = cards.check_details(card, now)
    return _create(store, number, (int(card.exp_month or 0), year), now, has_cvc=card.cvc is not None)


def _create_sample(store: Store, known: cards.KnownCard, now: int) -> Method:
    today = datetime.fromtimestamp(now, UTC)
    return _create(store, known.number, (today.month, today.year + 1), now, has_cvc=True)


def _create(store: Store, number: str, expiry: tuple[int, int], now: int, *, has_cvc: bool) -> Method:
    """Stores the payment method without the card's number."""
    known = cards.find_by_number(number)
    template = TEMPLATES["payment_method"]["card"]
    card = {
        **template,
        "brand": known.brand,
        "checks": {**template["checks"], "cvc_check": "unchecked" if has_cvc else None},
        "display_brand": known.brand,
        "exp_month": expiry[0],
        "exp_year": expiry[1],
        "fingerprint": hashlib.sha256(number.encode()).hexdigest()[:16],
        "funding": known.funding,
        "last4": number[-4:],
        "networks": {"available": [known.brand], "preferred": None},
        "three_d_secure_usage": {"supported": known.brand != "amex"},
    }
    body = new_object("payment_method", now, card=card)
    # Without a security code its check cannot fail.
    outcome = cards.APPROVED if known.outcome == "incorrect_cvc" and not has_cvc else known.outcome
    store.insert(body, outcome)
    return Method(body, outcome)
