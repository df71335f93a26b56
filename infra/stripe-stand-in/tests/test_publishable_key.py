"""What a caller with the publishable key may do and see."""

import httpx
import pytest

from stripe_stand_in import testing

CARD = {
    "card[number]": "4242424242424242",
    "card[exp_month]": "12",
    "card[exp_year]": "34",
    "card[cvc]": "123",
}
REQUIRES_BUYER = {
    "confirm": True,
    "payment_method": "pm_card_threeDSecure2Required",
    "metadata": {"orderId": "7"},
}


@pytest.fixture
def browser_http(stripe_api):
    headers = {"Authorization": f"Bearer {stripe_api.publishable_key}"}
    with httpx.Client(base_url=stripe_api.url, headers=headers) as client:
        yield client


def test_browser_creates_a_payment_method_that_the_server_can_use(browser_http, client, create):
    answer = browser_http.post("/v1/payment_methods", data={"type": "card", **CARD})
    method = answer.json()
    assert (answer.status_code, method["card"]["last4"]) == (200, "4242")
    assert "metadata" not in method
    assert "fingerprint" not in method["card"]
    assert client.v1.payment_methods.retrieve(method["id"]).card.fingerprint
    assert create(confirm=True, payment_method=method["id"]).status == "requires_capture"


def test_buyer_sees_part_of_the_intent(browser_http, create):
    intent = create(**REQUIRES_BUYER)
    answer = browser_http.get(f"/v1/payment_intents/{intent.id}?client_secret={intent.client_secret}")
    shown = answer.json()
    assert answer.status_code == 200
    assert (shown["status"], shown["amount"]) == ("requires_action", 1999)
    assert shown["next_action"]["type"] == "use_stripe_sdk"
    assert not {"metadata", "latest_charge", "amount_received", "customer"} & shown.keys()


@pytest.mark.parametrize(
    ("secret", "code"), [(None, "parameter_missing"), ("wrong", "payment_intent_invalid_parameter")]
)
def test_nobody_else_sees_the_intent(browser_http, create, secret, code):
    params = {"client_secret": secret} if secret else {}
    rejected = browser_http.get(f"/v1/payment_intents/{create().id}", params=params)
    error = rejected.json()["error"]
    assert (rejected.status_code, error["code"], error["param"]) == (400, code, "client_secret")


def test_server_may_send_the_client_secret(http, create):
    intent, other = create(), create()
    path = f"/v1/payment_intents/{intent.id}"
    assert http.get(path, params={"client_secret": intent.client_secret}).json()["metadata"] == {}
    assert http.get(path, params={"client_secret": other.client_secret}).status_code == 400


def test_nothing_is_expanded_for_a_browser(browser_http, create):
    intent = create()
    params = {"client_secret": intent.client_secret, "expand[]": "latest_charge"}
    rejected = browser_http.get(f"/v1/payment_intents/{intent.id}", params=params)
    assert (rejected.status_code, rejected.json()["error"]["param"]) == (400, "expand")


@pytest.mark.parametrize("after", ["authenticated", "failed", "too late"])
def test_answer_of_the_bank_contains_nothing_private(stripe_api, create, after):
    intent = create(**REQUIRES_BUYER)
    if after == "too late":
        stripe_api.authenticate(intent.client_secret)
    form = {"client_secret": intent.client_secret, "success": str(after != "failed").lower()}
    url = f"{stripe_api.url}/v1/payment_intents/{intent.id}/_authenticate"
    for headers in ({}, {"Authorization": f"Bearer {stripe_api.publishable_key}"}):
        answer = httpx.post(url, data=form, headers=headers)
        assert intent.id in answer.text
        for private in ("metadata", "orderId", "fingerprint", "latest_charge"):
            assert private not in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v1/payment_intents"),
        ("GET", "/v1/payment_intents"),
        ("POST", "/v1/payment_intents/pi_1/confirm"),
        ("POST", "/v1/payment_intents/pi_1/capture"),
        ("POST", "/v1/payment_intents/pi_1/cancel"),
        ("POST", "/v1/refunds"),
        ("GET", "/v1/refunds"),
        ("GET", "/v1/events"),
        ("GET", "/v1/charges/ch_1"),
        ("GET", "/v1/payment_methods/pm_1"),
        ("GET", "/_faults"),
        ("DELETE", "/_webhooks"),
    ],
)
def test_everything_else_requires_the_secret_key(browser_http, method, path):
    rejected = browser_http.request(method, path)
    error = rejected.json()["error"]
    assert (rejected.status_code, error["code"]) == (401, "secret_key_required")
    assert error["message"].startswith("This API call cannot be made with a publishable API key.")


def test_key_is_accepted_as_the_user_name(stripe_api):
    url, auth = f"{stripe_api.url}/v1/payment_methods", (stripe_api.publishable_key, "")
    assert httpx.post(url, data={"type": "card", **CARD}, auth=auth).status_code == 200


def test_no_publishable_key_is_accepted_without_the_setting(tmp_path, monkeypatch):
    monkeypatch.setattr(testing, "PUBLISHABLE_KEY", "")
    with testing.running(tmp_path) as api:
        for key in ("pk_test_standin0123456789", "pk_test_other"):
            headers = {"Authorization": f"Bearer {key}"}
            rejected = httpx.post(
                f"{api.url}/v1/payment_methods", data={"type": "card", **CARD}, headers=headers
            )
            assert rejected.status_code == 401
