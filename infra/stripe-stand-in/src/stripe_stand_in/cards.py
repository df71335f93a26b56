"""Stripe's documented test cards, the outcome of a charge to each, and the checks of a card's details.

An outcome is one below, or the name of a decline in errors.json.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from stripe_stand_in.errors import ApiError
from stripe_stand_in.parameters import CardDetails

APPROVED = "approved"
DISPUTED = "disputed"
"""Approved; the buyer disputes the charge after its capture."""
REFUND_FAILS = "refund_fails"
REFUND_IS_PENDING = "refund_is_pending"
_AUTHENTICATION_REQUIRED = "authentication_required"
_DECLINED_AFTER_AUTHENTICATION = "authenticated_and_declined"


AFTER_AUTHENTICATION = {
    _AUTHENTICATION_REQUIRED: APPROVED,
    _DECLINED_AFTER_AUTHENTICATION: "generic_decline",
}
"""For a card that requires 3-D Secure: its outcome once the buyer has authenticated."""


class KnownCard(NamedTuple):
    number: str
    brand: str
    outcome: str = APPROVED
    funding: str = "credit"


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
    "authenticationRequired": KnownCard("4000002760003184", "visa", _AUTHENTICATION_REQUIRED),
    "authenticationRequiredOnSetup": KnownCard("4000002500003155", "visa", _AUTHENTICATION_REQUIRED),
    "threeDSecure2Required": KnownCard("4000000000003220", "visa", _AUTHENTICATION_REQUIRED),
    "threeDSecureRequired": KnownCard("4000000000003063", "visa", _AUTHENTICATION_REQUIRED),
    "threeDSecureRequiredChargeDeclined": KnownCard(
        "4000008400001629", "visa", _DECLINED_AFTER_AUTHENTICATION
    ),
    "threeDSecureOptional": KnownCard("4000000000003055", "visa"),
    "createDispute": KnownCard("4000000000000259", "visa", DISPUTED),
    "refundFail": KnownCard("4000000000005126", "visa", REFUND_FAILS),
    "pendingRefund": KnownCard("4000000000007726", "visa", REFUND_IS_PENDING),
}
"""By the name in `pm_card_<name>` and `tok_<name>`."""
# Stripe documents the names of declining cards with the brand, too.
NAMED |= {f"visa_{name}": card for name, card in NAMED.items() if name.startswith("charge")}
_BY_NUMBER = {card.number: card for card in NAMED.values()}
_BRANDS = {"34": "amex", "37": "amex", "4": "visa", "5": "mastercard", "2": "mastercard", "6": "discover"}
"""By the first digits."""


def find_by_name(object_id: str, prefix: str) -> KnownCard | None:
    return NAMED.get(object_id.removeprefix(prefix)) if object_id.startswith(prefix) else None


def find_by_number(number: str) -> KnownCard:
    """A number that Stripe does not list is a real card, which test mode declines."""
    brand = next((brand for start, brand in _BRANDS.items() if number.startswith(start)), "unknown")
    return _BY_NUMBER.get(number) or KnownCard(number, brand, "test_mode_live_card")


def check_details(card: CardDetails, now: int) -> tuple[str, int]:
    """The number in digits and the year in four digits. Raises Stripe's error if a detail is invalid."""
    number = re.sub(r"[ -]", "", card.number or "")
    if not re.fullmatch(r"[0-9]{12,19}", number):
        raise ApiError("invalid_number")
    if not _passes_luhn(number):
        raise ApiError("incorrect_number")
    today = datetime.fromtimestamp(now, UTC)
    month, year = card.exp_month or 0, card.exp_year or 0
    year += 2000 if year < 100 else 0
    if not today.year <= year <= today.year + 50:
        raise ApiError("invalid_expiry_year")
    if not 1 <= month <= 12 or (year, month) < (today.year, today.month):
        raise ApiError("invalid_expiry_month")
    if not re.fullmatch(r"[0-9]{3,4}", card.cvc or "000"):
        raise ApiError("invalid_cvc")
    return number, year


def _passes_luhn(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    return (sum(digits[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])) % 10 == 0
