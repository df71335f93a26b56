"""Owns Stripe's documented test cards: numbers, names, what a charge comes to, and the look at a card."""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from stripe_stand_in.errors import Json, card_error

APPROVED = "approved"
AUTHENTICATION_REQUIRED = "authentication_required"
# The buyer authenticates, and the bank declines all the same.
AUTHENTICATED_AND_DECLINED = "authenticated_and_declined"
# Approved, with something to come.
DISPUTED = "disputed"
REFUND_FAILS = "refund_fails"
REFUND_IS_PENDING = "refund_is_pending"


class Decline(NamedTuple):
    code: str
    message: str
    decline_code: str | None = None
    param: str | None = None


_DECLINED = "Your card was declined."

# What a charge comes to, by name; whatever is not here is approved.
DECLINES = {
    "generic_decline": Decline("card_declined", _DECLINED, "generic_decline"),
    "insufficient_funds": Decline("card_declined", "Your card has insufficient funds.", "insufficient_funds"),
    "lost_card": Decline("card_declined", _DECLINED, "lost_card"),
    "stolen_card": Decline("card_declined", _DECLINED, "stolen_card"),
    "fraudulent": Decline("card_declined", _DECLINED, "fraudulent"),
    "card_velocity_exceeded": Decline(
        "card_declined",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
        "card_velocity_exceeded",
    ),
    "test_mode_live_card": Decline(
        "card_declined",
        "Your card was declined. Your request was in test mode, but used a non test (live) card. For a "
        "list of valid test cards, visit: https://stripe.com/docs/testing.",
        "test_mode_live_card",
    ),
    "expired_card": Decline("expired_card", "Your card has expired.", param="exp_month"),
    "incorrect_cvc": Decline("incorrect_cvc", "Your card's security code is incorrect.", param="cvc"),
    "processing_error": Decline(
        "processing_error", "An error occurred while processing your card. Try again in a little bit."
    ),
}
# For a card that wants the buyer, when the request says error_on_requires_action.
UNAUTHENTICATED = Decline(
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
    "authentication_required",
)
AFTER_AUTHENTICATION = {
    AUTHENTICATION_REQUIRED: APPROVED,
    AUTHENTICATED_AND_DECLINED: "generic_decline",
}


class KnownCard(NamedTuple):
    number: str
    brand: str
    outcome: str = APPROVED
    funding: str = "credit"


# By the names in `pm_card_<name>` and `tok_<name>`.
NAMED = {
    "visa": KnownCard("4242424242424242", "visa"),
    "visa_debit": KnownCard("4000056655665556", "visa", funding="debit"),
    "mastercard": KnownCard("5555555555554444", "mastercard"),
    "mastercard_debit": KnownCard("5200828282828210", "mastercard", funding="debit"),
    "mastercard_prepaid": KnownCard("5105105105105100", "mastercard", funding="prepaid"),
    "amex": KnownCard("378282246310005", "amex"),
    "discover": KnownCard("6011111111111117", "discover"),
    "diners": KnownCard("3056930009020004", "diners"),
    "jcb": KnownCard("3566002020360505", "jcb"),
    "unionpay": KnownCard("6200000000000005", "unionpay"),
    "chargeDeclined": KnownCard("4000000000000002", "visa", "generic_decline"),
    "chargeDeclinedInsufficientFunds": KnownCard("4000000000009995", "visa", "insufficient_funds"),
    "chargeDeclinedLostCard": KnownCard("4000000000009987", "visa", "lost_card"),
    "chargeDeclinedStolenCard": KnownCard("4000000000009979", "visa", "stolen_card"),
    "chargeDeclinedExpiredCard": KnownCard("4000000000000069", "visa", "expired_card"),
    "chargeDeclinedIncorrectCvc": KnownCard("4000000000000127", "visa", "incorrect_cvc"),
    "chargeDeclinedProcessingError": KnownCard("4000000000000119", "visa", "processing_error"),
    "chargeDeclinedVelocityLimitExceeded": KnownCard("4000000000006975", "visa", "card_velocity_exceeded"),
    "chargeDeclinedFraudulent": KnownCard("4100000000000019", "visa", "fraudulent"),
    "chargeCustomerFail": KnownCard("4000000000000341", "visa", "generic_decline"),
    "authenticationRequired": KnownCard("4000002760003184", "visa", AUTHENTICATION_REQUIRED),
    "authenticationRequiredOnSetup": KnownCard("4000002500003155", "visa", AUTHENTICATION_REQUIRED),
    "threeDSecure2Required": KnownCard("4000000000003220", "visa", AUTHENTICATION_REQUIRED),
    "threeDSecureRequired": KnownCard("4000000000003063", "visa", AUTHENTICATION_REQUIRED),
    "threeDSecureRequiredChargeDeclined": KnownCard("4000008400001629", "visa", AUTHENTICATED_AND_DECLINED),
    "threeDSecureOptional": KnownCard("4000000000003055", "visa"),
    "createDispute": KnownCard("4000000000000259", "visa", DISPUTED),
    "refundFail": KnownCard("4000000000005126", "visa", REFUND_FAILS),
    "pendingRefund": KnownCard("4000000000007726", "visa", REFUND_IS_PENDING),
}
# Stripe documents the declining ones with the brand in the name as well.
NAMED |= {f"visa_{name}": card for name, card in NAMED.items() if name.startswith("charge")}
_BY_NUMBER = {card.number: card for card in NAMED.values()}

_BRANDS = (
    ("4", "visa"),
    ("5", "mastercard"),
    ("2", "mastercard"),
    ("34", "amex"),
    ("37", "amex"),
    ("6", "discover"),
)


def named(object_id: str, prefix: str) -> KnownCard | None:
    return NAMED.get(object_id.removeprefix(prefix)) if object_id.startswith(prefix) else None


def numbered(number: str) -> KnownCard:
    """The card with this number. One that Stripe does not list is a real one, which test mode declines."""
    known = _BY_NUMBER.get(number)
    if known is not None:
        return known
    brand = next((brand for start, brand in _BRANDS if number.startswith(start)), "unknown")
    return KnownCard(number, brand, "test_mode_live_card")


def outcome_of(card: KnownCard, *, cvc_given: bool) -> str:
    # Without a security code there is no check of it, so that check can't fail.
    return APPROVED if card.outcome == "incorrect_cvc" and not cvc_given else card.outcome


def look_at(card: Json, now: int) -> Json:
    """The card's fields as given, made uniform; refused as Stripe refuses one that can't be a card."""
    number = re.sub(r"[ -]", "", card["number"])
    if not re.fullmatch(r"[0-9]{12,19}", number):
        raise card_error(
            "invalid_number", "The card number is not a valid credit card number.", param="number"
        )
    if not _passes_luhn(number):
        raise card_error("incorrect_number", "Your card number is incorrect.", param="number")
    today = datetime.fromtimestamp(now, UTC)
    month, year = card["exp_month"], card["exp_year"]
    year += 2000 if year < 100 else 0
    if not today.year <= year <= today.year + 50:
        raise card_error("invalid_expiry_year", "Your card's expiration year is invalid.", param="exp_year")
    if not 1 <= month <= 12 or (year, month) < (today.year, today.month):
        raise card_error(
            "invalid_expiry_month", "Your card's expiration month is invalid.", param="exp_month"
        )
    if not re.fullmatch(r"[0-9]{3,4}", card.get("cvc", "000")):
        raise card_error("invalid_cvc", "Your card's security code is invalid.", param="cvc")
    return {**card, "number": number, "exp_month": month, "exp_year": year}


def _passes_luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0
