"""3-D Secure: the bank asks for the buyer before it approves or declines."""

import httpx
import pytest

REQUIRES_BUYER = {"confirm": True, "payment_method": "pm_card_threeDSecure2Required", "use_stripe_sdk": True}


@pytest.mark.parametrize("name", ["threeDSecure2Required", "threeDSecureRequired", "authenticationRequired"])
@pytest.mark.parametrize("prefix", ["pm_card_", "tok_"])
def test_confirmation_waits_for_the_buyer(client, create, name, prefix):
    intent = create()
    card = {"payment_method": prefix + name}
    if prefix == "tok_":
        card = {"payment_method_data": {"type": "card", "card": {"token": prefix + name}}}
    waiting = client.v1.payment_intents.confirm(intent.id, {**card, "use_stripe_sdk": True})
    assert (waiting.status, waiting.next_action.type) == ("requires_action", "use_stripe_sdk")
    assert (waiting.latest_charge, waiting.amount_capturable) == (None, 0)
    assert waiting.payment_method.startswith("pm_")


@pytest.mark.parametrize(("method", "status"), [("manual", "requires_capture"), ("automatic", "succeeded")])
def test_bank_approves_after_authentication(stripe_api, client, create, method, status):
    intent = create(**REQUIRES_BUYER, capture_method=method)
    answer = stripe_api.authenticate(intent.client_secret)
    assert (answer["status"], answer["next_action"]) == (status, None)
    assert client.v1.charges.retrieve(answer["latest_charge"]).paid


def test_bank_may_decline_after_authentication(stripe_api, client, create):
    intent = create(confirm=True, payment_method="pm_card_threeDSecureRequiredChargeDeclined")
    assert intent.status == "requires_action"
    answer = stripe_api.authenticate(intent.client_secret)
    assert answer["status"] == "requires_payment_method"
    assert answer["last_payment_error"]["code"] == "card_declined"
    assert client.v1.charges.retrieve(answer["latest_charge"]).status == "failed"


def test_failed_authentication_leaves_the_intent_open(stripe_api, client, create):
    intent = create(**REQUIRES_BUYER)
    answer = stripe_api.authenticate(intent.client_secret, success=False)
    error = answer["last_payment_error"]
    assert (answer["status"], answer["next_action"]) == ("requires_payment_method", None)
    assert error["type"] == "invalid_request_error"
    assert error["code"] == "payment_intent_authentication_failure"
    again = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (again.status, again.last_payment_error) == ("requires_capture", None)


def test_another_card_can_be_tried_instead(client, create):
    intent = create(**REQUIRES_BUYER)
    again = client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"})
    assert (again.status, again.next_action) == ("requires_capture", None)


def test_waiting_intent_can_be_cancelled(stripe_api, client, create):
    intent = create(**REQUIRES_BUYER)
    canceled = client.v1.payment_intents.cancel(intent.id)
    assert (canceled.status, canceled.next_action) == ("canceled", None)
    rejected = authenticate(stripe_api, intent.id, intent.client_secret)
    assert (rejected.status_code, rejected.json()["error"]["code"]) == (
        400,
        "payment_intent_unexpected_state",
    )


def authenticate(api, intent_id, client_secret, success="true", **headers):
    form = {"client_secret": client_secret, "success": success}
    url = f"{api.url}/v1/payment_intents/{intent_id}/_authenticate"
    return httpx.post(url, data=form, headers=headers)


def test_authentication_requires_only_the_client_secret(stripe_api, create):
    intent, other = create(**REQUIRES_BUYER), create(**REQUIRES_BUYER)
    for secret in ("wrong", other.client_secret):
        rejected = authenticate(stripe_api, intent.id, secret)
        assert rejected.status_code == 400
        assert rejected.json()["error"]["param"] == "client_secret"
    assert authenticate(stripe_api, intent.id, intent.client_secret, "maybe").status_code == 400
    assert authenticate(stripe_api, "pi_unknown", intent.client_secret).status_code == 404
    paid = authenticate(stripe_api, intent.id, intent.client_secret, Authorization="Bearer pk_test_1")
    assert paid.json()["status"] == "requires_capture"
    assert authenticate(stripe_api, intent.id, intent.client_secret).status_code == 400
