"""The life of a PaymentIntent, as Stripe documents it."""

import pytest
import stripe


def error_of(call, *args, **kwargs):
    with pytest.raises(stripe.StripeError) as caught:
        call(*args, **kwargs)
    return caught.value


def test_intent_without_payment_method_requires_one(create):
    intent = create(
        metadata={"orderId": "7", "empty": ""}, description="Ticket", receipt_email="a@example.com"
    )
    assert intent.status == "requires_payment_method"
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    assert (intent.amount, intent.amount_capturable, intent.amount_received) == (1999, 0, 0)
    assert (intent.currency, intent.livemode, intent.capture_method) == ("usd", False, "manual")
    assert intent.metadata.to_dict() == {"orderId": "7"}
    assert (intent.description, intent.receipt_email) == ("Ticket", "a@example.com")
    assert intent.payment_method_types == ["card"]
    assert intent.automatic_payment_methods is None


def test_defaults_are_those_of_the_current_api(client):
    intent = client.v1.payment_intents.create({"amount": 50, "currency": "USD"})
    assert intent.currency == "usd"
    assert intent.capture_method == "automatic_async"
    assert intent.automatic_payment_methods.to_dict() == {"allow_redirects": "always", "enabled": True}
    assert intent.payment_method_options.card.request_three_d_secure == "automatic"


def test_confirmation_authorises_and_capture_takes_the_money(client, create):
    intent = create(confirm=True, payment_method="pm_card_visa")
    assert intent.status == "requires_capture"
    assert (intent.amount_capturable, intent.amount_received) == (1999, 0)
    held = client.v1.charges.retrieve(intent.latest_charge)
    assert (held.captured, held.paid, held.status, held.amount_captured) == (False, True, "succeeded", 0)
    assert (held.payment_intent, held.payment_method) == (intent.id, intent.payment_method)
    intent = client.v1.payment_intents.capture(intent.id)
    assert intent.status == "succeeded"
    assert (intent.amount_capturable, intent.amount_received) == (0, 1999)
    charge = client.v1.charges.retrieve(intent.latest_charge)
    assert charge.id == held.id
    assert (charge.captured, charge.amount_captured, charge.amount_refunded) == (True, 1999, 0)


def test_partial_capture_releases_the_rest(client, create):
    intent = create(confirm=True, payment_method="pm_card_visa")
    intent = client.v1.payment_intents.capture(
        intent.id, {"amount_to_capture": 500, "expand": ["latest_charge"]}
    )
    assert (intent.amount, intent.amount_capturable, intent.amount_received) == (1999, 0, 500)
    charge = intent.latest_charge
    assert (charge.amount_captured, charge.amount_refunded, charge.refunded) == (500, 1499, False)


def test_capture_of_more_than_was_authorised_is_rejected(client, create):
    intent = create(confirm=True, payment_method="pm_card_visa")
    error = error_of(client.v1.payment_intents.capture, intent.id, {"amount_to_capture": 2000})
    assert (error.http_status, error.code, error.param) == (400, "amount_too_large", "amount_to_capture")
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"


@pytest.mark.parametrize("method", ["automatic", "automatic_async"])
def test_automatic_capture_succeeds_at_once(create, method):
    intent = create(confirm=True, payment_method="pm_card_visa", capture_method=method)
    assert (intent.status, intent.amount_received, intent.amount_capturable) == ("succeeded", 1999, 0)


def test_intent_is_confirmed_in_a_call_of_its_own(client, create):
    intent = create(payment_method="pm_card_mastercard")
    assert intent.status == "requires_confirmation"
    confirmed = client.v1.payment_intents.confirm(intent.id, {"use_stripe_sdk": False})
    assert (confirmed.status, confirmed.payment_method) == ("requires_capture", intent.payment_method)


def test_cancelling_releases_the_authorised_amount(client, create):
    intent = create(confirm=True, payment_method="pm_card_visa")
    params = {"cancellation_reason": "requested_by_customer", "expand": ["latest_charge"]}
    intent = client.v1.payment_intents.cancel(intent.id, params)
    assert (intent.status, intent.amount_capturable, intent.amount_received) == ("canceled", 0, 0)
    assert intent.cancellation_reason == "requested_by_customer"
    assert intent.canceled_at >= intent.created
    assert (intent.latest_charge.captured, intent.latest_charge.refunded) == (False, True)


@pytest.mark.parametrize("params", [{}, {"payment_method": "pm_card_visa"}])
def test_unpaid_intent_can_be_cancelled(client, create, params):
    assert client.v1.payment_intents.cancel(create(**params).id).status == "canceled"


SUCCEEDED = {"confirm": True, "payment_method": "pm_card_visa", "capture_method": "automatic"}
HELD = {"confirm": True, "payment_method": "pm_card_visa"}


@pytest.mark.parametrize(
    ("params", "operation", "message"),
    [
        (
            SUCCEEDED,
            "confirm",
            "You cannot confirm this PaymentIntent because it has already succeeded after being",
        ),
        (
            HELD,
            "confirm",
            "You cannot confirm this PaymentIntent because it has a status of requires_capture.",
        ),
        ({}, "confirm", "You cannot confirm this PaymentIntent because it's missing a payment method."),
        (
            SUCCEEDED,
            "cancel",
            "You cannot cancel this PaymentIntent because it has a status of succeeded. Only a",
        ),
        (
            SUCCEEDED,
            "capture",
            "This PaymentIntent could not be captured because it has a status of succeeded.",
        ),
        (
            {},
            "capture",
            "This PaymentIntent could not be captured because it has a status of requires_payment_method.",
        ),
    ],
)
def test_error_about_a_wrong_state_contains_the_intent(client, create, params, operation, message):
    intent = create(**params)
    error = error_of(getattr(client.v1.payment_intents, operation), intent.id)
    assert (error.http_status, error.code) == (400, "payment_intent_unexpected_state")
    assert error.user_message.startswith(message)
    assert (error.error.payment_intent.id, error.error.payment_intent.status) == (intent.id, intent.status)


def test_cancelled_intent_stays_cancelled(client, create):
    intent = client.v1.payment_intents.cancel(create().id)
    for operation in ("cancel", "capture", "confirm"):
        error = error_of(getattr(client.v1.payment_intents, operation), intent.id)
        assert error.code == "payment_intent_unexpected_state"
        assert error.error.payment_intent.status == "canceled"


def test_expand_replaces_ids_with_objects(client, create):
    intent = create(**HELD)
    expand = {"expand": ["latest_charge", "payment_method", "latest_charge"]}
    whole = client.v1.payment_intents.retrieve(intent.id, expand)
    assert whole.latest_charge.object == "charge"
    assert whole.payment_method.card.last4 == "4242"
    listed = client.v1.payment_intents.list({"limit": 1, "expand": ["data.latest_charge"]})
    assert listed.data[0].latest_charge.id == intent.latest_charge
    error = error_of(client.v1.payment_intents.retrieve, intent.id, {"expand": ["nothing"]})
    assert error.user_message == "This property cannot be expanded (nothing)."


def test_unknown_intent_is_missing(client):
    for operation in ("retrieve", "confirm", "capture", "cancel"):
        error = error_of(getattr(client.v1.payment_intents, operation), "pi_x")
        assert (error.http_status, error.code, error.param) == (404, "resource_missing", "intent")
        assert error.user_message == "No such payment_intent: 'pi_x'"


@pytest.mark.parametrize(
    ("params", "code", "param", "message"),
    [
        ({"amount": 49}, "amount_too_small", "amount", "Amount must be at least $0.50 usd"),
        (
            {"amount": 0},
            "parameter_invalid_integer",
            "amount",
            "This value must be greater than or equal to 1.",
        ),
        ({"amount": 100_000_000}, "amount_too_large", "amount", "Amount must be no more than $999,999.99"),
        ({"amount": "12.5"}, "parameter_invalid_integer", "amount", "Invalid integer: 12.5"),
        ({"colour": "red"}, "parameter_unknown", "colour", "Received unknown parameter: colour"),
        ({"metadata": {"k": {"deep": "er"}}}, None, "metadata[k]", "Invalid string: {'deep': 'er'}"),
        ({"currency": "xyz"}, None, "currency", "Invalid currency: xyz."),
        ({"confirm": "perhaps"}, None, "confirm", "Invalid boolean: perhaps"),
        (
            {"capture_method": "later"},
            None,
            "capture_method",
            "Invalid capture_method: must be one of automatic, automatic_async, manual",
        ),
        (
            {"use_stripe_sdk": True},
            None,
            "use_stripe_sdk",
            "The parameter `use_stripe_sdk` cannot be passed when creating",
        ),
        (
            {"automatic_payment_methods": {"enabled": True}},
            None,
            "automatic_payment_methods",
            "You may only specify one of these parameters: automatic_payment_methods, payment_method_types.",
        ),
    ],
)
def test_parameters_are_checked(create, params, code, param, message):
    error = error_of(create, **params)
    assert (error.http_status, error.code, error.param) == (400, code, param)
    assert error.user_message.startswith(message)


def test_error_names_a_missing_parameter(client):
    error = error_of(client.v1.payment_intents.create, {"currency": "usd"})
    assert (error.code, error.param) == ("parameter_missing", "amount")
    assert error.user_message == "Missing required param: amount."
    assert error.error.doc_url == "https://stripe.com/docs/error-codes/parameter-missing"


def test_confirmation_is_rejected_unless_redirects_are_ruled_out(client):
    params = {"amount": 1999, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"}
    error = error_of(client.v1.payment_intents.create, params)
    assert "you must provide a `return_url`" in error.user_message
    params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
    assert client.v1.payment_intents.create(params).status == "succeeded"
