"""Faults on demand."""

import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import httpx
import pytest
import stripe

CREATE = "POST /v1/payment_intents"


@pytest.fixture(autouse=True)
def _clear_faults(stripe_api):
    yield
    stripe_api.clear_faults()


def intents_with(client, mark):
    found = client.v1.payment_intents.list({"limit": 100}).data
    return [intent for intent in found if intent.metadata.to_dict().get("mark") == mark]


def attempt(create, **options):
    """Returns the error, if there is one."""
    try:
        create(**options)
    except stripe.StripeError as error:
        return error
    return None


@pytest.mark.parametrize("status", [500, 503])
@pytest.mark.parametrize("after", [False, True])
def test_5xx_is_repeated_under_its_key_whether_or_not_it_took_effect(stripe_api, http, client, status, after):
    mark = str(uuid4())
    stripe_api.add_fault(kind="error", status=status, after=after, operation=CREATE, times=1)
    form = {"amount": "1999", "currency": "usd", "metadata[mark]": mark}
    answers = [
        http.post("/v1/payment_intents", data=form, headers={"Idempotency-Key": mark}) for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [status] * 2
    assert answers[0].json()["error"]["type"] == "api_error"
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert len(intents_with(client, mark)) == (1 if after else 0)


@pytest.mark.parametrize(("status", "code"), [(429, "rate_limit"), (409, "lock_timeout")])
def test_409_and_429_are_not_repeated(stripe_api, http, status, code):
    key = {"Idempotency-Key": str(uuid4())}
    stripe_api.add_fault(kind="error", status=status, times=1)
    form = {"amount": "1999", "currency": "usd"}
    rejected = http.post("/v1/payment_intents", data=form, headers=key)
    assert (rejected.status_code, rejected.json()["error"]["code"]) == (status, code)
    assert http.post("/v1/payment_intents", data=form, headers=key).status_code == 200


@pytest.mark.parametrize(("kind", "made"), [("lost", 1), ("down", 0)])
def test_connection_is_cut_after_or_before_the_operation(stripe_api, http, client, kind, made):
    mark = str(uuid4())
    stripe_api.add_fault(kind=kind, operation=CREATE, times=1)
    form = {"amount": "1999", "currency": "usd", "metadata[mark]": mark}
    with pytest.raises(httpx.TransportError):
        http.post("/v1/payment_intents", data=form, headers={"Idempotency-Key": mark})
    assert len(intents_with(client, mark)) == made
    assert http.post("/v1/payment_intents", data=form, headers={"Idempotency-Key": mark}).status_code == 200
    assert len(intents_with(client, mark)) == 1
    assert "Traceback" not in (stripe_api.data_dir / "server.log").read_text()


def test_delay_does_not_block_other_calls(stripe_api, create, client):
    stripe_api.add_fault(kind="delay", seconds=0.5, operation=CREATE)
    begin = time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(create) for _ in range(5)]
        started = time.monotonic()
        client.v1.payment_intents.list({"limit": 1})
        assert time.monotonic() - started < 0.4
        assert all(each.result() for each in waiting)
    assert 0.5 <= time.monotonic() - begin < 2


def test_late_operation_locks_the_intent_and_takes_effect_without_its_caller(
    stripe_api, http, client, create
):
    path = f"/v1/payment_intents/{create().id}"
    stripe_api.add_fault(kind="late", seconds=1, operation="POST /v1/payment_intents/{id}/confirm", times=1)
    with pytest.raises(httpx.ReadTimeout):
        http.post(f"{path}/confirm", data={"payment_method": "pm_card_visa"}, timeout=0.2)
    assert http.get(path).json()["status"] == "requires_payment_method"
    key = {"Idempotency-Key": str(uuid4())}
    locked = http.post(f"{path}/cancel", headers=key)
    assert (locked.status_code, locked.json()["error"]["code"]) == (409, "lock_timeout")
    deadline = time.monotonic() + 5
    while http.get(path).json()["status"] != "requires_capture":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert http.post(f"{path}/cancel", headers=key).json()["status"] == "canceled"


def test_share_of_the_calls_fails_and_a_seed_repeats_it(stripe_api, http):
    def statuses():
        stripe_api.clear_faults()
        stripe_api.add_fault(kind="error", share=0.3, seed=7, operation=CREATE)
        form = {"amount": "1999", "currency": "usd"}
        return [http.post("/v1/payment_intents", data=form).status_code for _ in range(60)]

    first = statuses()
    assert 5 < first.count(500) < 35
    assert statuses() == first
    (rule,) = http.get("/_faults").json()["data"]
    assert rule["struck"] == first.count(500)


def test_first_matching_rule_strikes_and_only_its_operation(stripe_api, create, client):
    stripe_api.add_fault(kind="error", status=503, operation=CREATE, times=1)
    stripe_api.add_fault(kind="error", status=500)
    assert attempt(create).http_status == 503
    assert attempt(create).http_status == 500
    stripe_api.clear_faults()
    assert attempt(create) is None
    stripe_api.add_fault(kind="error", operation="POST /v1/refunds")
    assert attempt(create) is None


def test_bank_is_struck_only_if_the_rule_names_it(stripe_api, create):
    intent = create(confirm=True, payment_method="pm_card_threeDSecure2Required")
    stripe_api.add_fault(kind="down")
    assert stripe_api.authenticate(intent.client_secret)["status"] == "requires_capture"


@pytest.mark.parametrize(
    "rule",
    [
        [],
        {},
        {"kind": "fire"},
        {"kind": "error", "status": 200},
        {"kind": "error", "share": 2},
        {"kind": "delay", "seconds": -1},
        {"kind": "delay", "seconds": "1"},
        {"kind": "lost", "times": True},
        {"kind": "lost", "colour": "red"},
    ],
    ids=str,
)
def test_invalid_rule_is_rejected(http, rule):
    rejected = http.post("/_faults", json=rule)
    assert rejected.status_code == 400
    assert rejected.json()["error"]["message"]
    assert http.get("/_faults").json() == {"data": []}


def test_control_routes_require_the_secret_key(stripe_api):
    for path in ("/_faults", "/_webhooks"):
        for method in ("GET", "POST", "DELETE"):
            assert httpx.request(method, stripe_api.url + path).status_code == 401
