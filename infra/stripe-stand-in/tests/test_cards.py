"""The outcome of each of Stripe's documented test cards, by name, by token and by number."""

import time
from typing import Any

import pytest
import stripe

DECLINED = "Your card was declined."
VELOCITY = "Your card was declined for making repeated attempts too frequently or exceeding its amount limit."
CVC = "Your card's security code is incorrect."
PROCESSING = "An error occurred while processing your card. Try again in a little bit."

DECLINES = [
    ("chargeDeclined", "4000000000000002", "card_declined", "generic_decline", DECLINED),
    (
        "chargeDeclinedInsufficientFunds",
        "4000000000009995",
        "card_declined",
        "insufficient_funds",
        "Your card has insufficient funds.",
    ),
    ("chargeDeclinedLostCard", "4000000000009987", "card_declined", "lost_card", DECLINED),
    ("chargeDeclinedStolenCard", "4000000000009979", "card_declined", "stolen_card", DECLINED),
    ("chargeDeclinedExpiredCard", "4000000000000069", "expired_card", None, "Your card has expired."),
    ("chargeDeclinedIncorrectCvc", "4000000000000127", "incorrect_cvc", None, CVC),
    ("chargeDeclinedProcessingError", "4000000000000119", "processing_error", None, PROCESSING),
    (
        "chargeDeclinedVelocityLimitExceeded",
        "4000000000006975",
        "card_declined",
        "card_velocity_exceeded",
        VELOCITY,
    ),
    ("chargeDeclinedFraudulent", "4100000000000019", "card_declined", "fraudulent", DECLINED),
]
APPROVED = [
    ("visa", "4242424242424242", "visa", "credit"),
    ("visa_debit", "4000056655665556", "visa", "debit"),
    ("mastercard", "5555555555554444", "mastercard", "credit"),
    ("mastercard_debit", "5200828282828210", "mastercard", "debit"),
    ("mastercard_prepaid", "5105105105105100", "mastercard", "prepaid"),
    ("amex", "378282246310005", "amex", "credit"),
    ("discover", "6011111111111117", "discover", "credit"),
    ("diners", "3056930009020004", "diners", "credit"),
    ("jcb", "3566002020360505", "jcb", "credit"),
    ("unionpay", "6200000000000005", "unionpay", "credit"),
]
NEXT_YEAR = time.gmtime().tm_year + 1


def number_card(number, **more):
    return {"number": number, "exp_month": 12, "exp_year": NEXT_YEAR, "cvc": "123", **more}


def card_data(card):
    return {"payment_method_data": {"type": "card", "card": card}}


def ways_to_pay(name, number):
    yield {"payment_method": f"pm_card_{name}"}
    yield card_data({"token": f"tok_{name}"})
    yield card_data(number_card(number))


def error_of(call, *args, **kwargs) -> Any:
    with pytest.raises(stripe.StripeError) as caught:
        call(*args, **kwargs)
    return caught.value


@pytest.mark.parametrize(("name", "number", "brand", "funding"), APPROVED)
def test_card_is_approved(create, name, number, brand, funding):
    for params in ways_to_pay(name, number):
        intent = create(confirm=True, expand=["payment_method"], **params)
        assert intent.status == "requires_capture"
        card = intent.payment_method.card
        assert (card.brand, card.funding, card.last4) == (brand, funding, number[-4:])


@pytest.mark.parametrize(("name", "number", "code", "decline_code", "message"), DECLINES)
def test_card_is_declined(client, create, name, number, code, decline_code, message):
    for params in ways_to_pay(name, number):
        error = error_of(create, confirm=True, **params)
        assert (error.http_status, error.code, error.user_message) == (402, code, message)
        assert error.json_body["error"].get("decline_code") == decline_code
        assert error.error.payment_method.card.last4 == number[-4:]
        intent = client.v1.payment_intents.retrieve(error.error.payment_intent.id)
        assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
        last = intent.to_dict()["last_payment_error"]
        assert (last["code"], last["message"], last["type"]) == (code, message, "card_error")
        assert last.get("decline_code") == decline_code
        assert last["payment_method"]["id"] == error.error.payment_method.id
        charge = client.v1.charges.retrieve(error.error.charge)
        assert (charge.id, last["charge"]) == (intent.latest_charge, charge.id)
        assert (charge.status, charge.paid, charge.captured) == ("failed", False, False)
        assert (charge.failure_code, charge.failure_message) == (code, message)
        assert isinstance(error, stripe.CardError)


@pytest.mark.parametrize("name", [row[0] for row in DECLINES])
def test_name_of_a_declining_card_may_contain_the_brand(create, name):
    for params in ({"payment_method": f"pm_card_visa_{name}"}, card_data({"token": f"tok_visa_{name}"})):
        assert error_of(create, confirm=True, **params).http_status == 402


def test_another_card_can_pay_after_a_decline(client, create):
    intent = create()
    error_of(client.v1.payment_intents.confirm, intent.id, {"payment_method": "pm_card_chargeDeclined"})
    intent = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (intent.status, intent.last_payment_error) == ("requires_capture", None)


def test_check_of_the_security_code_cannot_fail_without_one(create):
    card = number_card("4000000000000127")
    del card["cvc"]
    assert create(confirm=True, **card_data(card)).status == "requires_capture"


def test_real_card_is_declined_and_its_number_is_not_stored(stripe_api, create):
    error = error_of(create, confirm=True, **card_data(number_card("4012888888881881")))
    assert (error.http_status, error.error.decline_code) == (402, "test_mode_live_card")
    stored = b"".join(path.read_bytes() for path in stripe_api.data_dir.iterdir())
    assert b"4012888888881881" not in stored


@pytest.mark.parametrize(
    ("change", "code", "param"),
    [
        ({"number": "4242424242424241"}, "incorrect_number", "number"),
        ({"number": "4242"}, "invalid_number", "number"),
        ({"number": "four"}, "invalid_number", "number"),
        ({"exp_month": 13}, "invalid_expiry_month", "exp_month"),
        ({"exp_month": 0}, "invalid_expiry_month", "exp_month"),
        ({"exp_year": 95}, "invalid_expiry_year", "exp_year"),
        ({"exp_year": NEXT_YEAR - 2}, "invalid_expiry_year", "exp_year"),
        ({"cvc": "99"}, "invalid_cvc", "cvc"),
    ],
)
def test_invalid_card_details_are_rejected(client, create, change, code, param):
    card = number_card("4242424242424242") | change
    for error in (
        error_of(client.v1.payment_methods.create, {"type": "card", "card": card}),
        error_of(create, confirm=True, **card_data(card)),
    ):
        assert isinstance(error, stripe.CardError)
        assert (error.http_status, error.code, error.param) == (402, code, param)


def test_two_digit_year_and_spaces_in_the_number_are_accepted(client):
    card = number_card("4242 4242 4242 4242", exp_year=NEXT_YEAR % 100)
    method = client.v1.payment_methods.create({"type": "card", "card": card})
    assert (method.card.last4, method.card.exp_year) == ("4242", NEXT_YEAR)


def test_payment_method_can_be_created_first_and_used_later(client, create):
    method = client.v1.payment_methods.create({"type": "card", "card": number_card("5555555555554444")})
    assert client.v1.payment_methods.retrieve(method.id).to_dict() == method.to_dict()
    assert create(confirm=True, payment_method=method.id).payment_method == method.id


def test_payment_method_pays_once(create, client):
    method = client.v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    create(confirm=True, payment_method=method.id)
    error = error_of(create, confirm=True, payment_method=method.id)
    assert (error.http_status, type(error)) == (400, stripe.InvalidRequestError)
    assert "It may not be used again." in error.user_message


def test_unknown_tokens_and_methods_are_missing(client, create):
    error = error_of(create, confirm=True, **card_data({"token": "tok_x"}))
    assert (error.http_status, error.code) == (400, "resource_missing")
    assert (error.param, error.user_message) == ("payment_method_data[card][token]", "No such token: 'tok_x'")
    error = error_of(client.v1.payment_methods.create, {"type": "card", "card": {"token": "tok_x"}})
    assert (error.http_status, error.param) == (400, "card[token]")
    for unknown in ("pm_x", "pm_card_unheardOf", "tok_visa", "pi_x"):
        error = error_of(create, confirm=True, payment_method=unknown)
        assert (error.http_status, error.code, error.param) == (400, "resource_missing", "payment_method")
        assert error.user_message == f"No such PaymentMethod: '{unknown}'"
    assert error_of(client.v1.payment_methods.retrieve, "pm_x").http_status == 404
    assert error_of(client.v1.charges.retrieve, "ch_x").user_message == "No such charge: 'ch_x'"


def test_each_use_of_a_test_name_creates_a_new_method(create):
    first, second = (create(payment_method="pm_card_visa").payment_method for _ in range(2))
    assert first != second
