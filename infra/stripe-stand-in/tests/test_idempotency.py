"""Idempotency keys: one effect and one answer, however often a request is repeated."""

import json
import socket
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest
import stripe

from stripe_stand_in import idempotency
from stripe_stand_in.store import Store

INTENT = {"amount": "1999", "currency": "usd", "payment_method_types[]": "card", "capture_method": "manual"}


def post(http, path, form, key):
    return http.post(path, data=form, headers={"Idempotency-Key": key})


def test_repetition_gets_the_first_answer(http):
    key = str(uuid4())
    first, again = (post(http, "/v1/payment_intents", INTENT, key) for _ in range(2))
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.content == again.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert first.headers["Idempotency-Key"] == again.headers["Idempotency-Key"] == key
    assert first.headers["Request-Id"] != again.headers["Request-Id"]
    assert again.headers["Original-Request"] == first.headers["Request-Id"]


def test_decline_is_repeated(http, client):
    key, form = str(uuid4()), {**INTENT, "confirm": "true", "payment_method": "pm_card_chargeDeclined"}
    first, again = (post(http, "/v1/payment_intents", form, key) for _ in range(2))
    assert (first.status_code, again.status_code) == (402, 402)
    assert first.content == again.content
    intent = first.json()["error"]["payment_intent"]
    assert client.v1.payment_intents.retrieve(intent["id"]).status == "requires_payment_method"


def test_answer_stays_the_same_while_the_intent_changes(client, create):
    intent = create()
    confirm = client.v1.payment_intents.confirm
    params, options = {"payment_method": "pm_card_visa"}, {"idempotency_key": str(uuid4())}
    confirm(intent.id, params, options)
    client.v1.payment_intents.capture(intent.id)
    assert confirm(intent.id, params, options).status == "requires_capture"
    assert client.v1.payment_intents.retrieve(intent.id).status == "succeeded"


def test_error_of_the_operation_is_repeated_but_not_an_error_of_the_parameters(http):
    key = str(uuid4())
    rejected = [post(http, "/v1/payment_intents/pi_x/cancel", {}, key) for _ in range(2)]
    assert [answer.status_code for answer in rejected] == [404, 404]
    assert rejected[1].headers["Idempotent-Replayed"] == "true"
    key = str(uuid4())
    assert post(http, "/v1/payment_intents", {"currency": "usd"}, key).status_code == 400
    assert post(http, "/v1/payment_intents", INTENT, key).status_code == 200


def test_other_parameters_are_rejected(client, create):
    options = {"idempotency_key": "same-" + str(uuid4())}
    params = {"amount": 100, "currency": "usd"}
    client.v1.payment_intents.create(params, options)
    with pytest.raises(stripe.IdempotencyError) as caught:
        client.v1.payment_intents.create({**params, "amount": 200}, options)
    assert caught.value.http_status == 400
    assert caught.value.user_message == (
        "Keys for idempotent requests can only be used with the same parameters they were first used with. "
        f"Try using a key other than '{options['idempotency_key']}' if you meant to execute a different "
        "request."
    )
    intent = create()
    with pytest.raises(
        stripe.IdempotencyError, match="can only be used for the same endpoint they were first"
    ):
        client.v1.payment_intents.cancel(intent.id, options=options)
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_payment_method"


def test_order_of_the_parameters_does_not_matter(http):
    key = str(uuid4())
    post(http, "/v1/payment_intents", INTENT, key)
    again = post(http, "/v1/payment_intents", dict(reversed(INTENT.items())), key)
    assert again.headers["Idempotent-Replayed"] == "true"


def test_key_in_use_is_a_conflict(stripe_api, http):
    """The second request arrives while half of the first one's body is still missing."""
    key, body = str(uuid4()), b"amount=1999&currency=usd"
    head = (
        f"POST /v1/payment_intents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stripe_api.key}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(stripe_api.url.rpartition(":")[2]))) as first:
        first.sendall(head.encode() + body[:5])
        time.sleep(0.1)
        second = post(http, "/v1/payment_intents", {"amount": "1999", "currency": "usd"}, key)
        assert second.status_code == 409
        error = second.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "idempotency_key_in_use")
        assert error["message"].startswith(
            "There is currently another in-progress request using this Idempot"
        )
        first.sendall(body[5:])
        assert first.recv(100).startswith(b"HTTP/1.1 200")
    third = post(http, "/v1/payment_intents", {"amount": "1999", "currency": "usd"}, key)
    assert (third.status_code, third.headers["Idempotent-Replayed"]) == (200, "true")


def test_disconnected_caller_leaves_the_key_free(stripe_api, http):
    key = str(uuid4())
    head = (
        f"POST /v1/payment_intents HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {stripe_api.key}\r\n"
        f"Idempotency-Key: {key}\r\nContent-Length: 50\r\n\r\namount"
    )
    with socket.create_connection(("127.0.0.1", int(stripe_api.url.rpartition(":")[2]))) as caller:
        caller.sendall(head.encode())
        time.sleep(0.1)
    time.sleep(0.1)
    assert post(http, "/v1/payment_intents", INTENT, key).status_code == 200


def test_twenty_concurrent_requests_with_one_key_create_one_intent(http):
    key = str(uuid4())
    form = {**INTENT, "metadata[race]": key}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: post(http, "/v1/payment_intents", form, key), range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    made = {answer.json()["id"] for answer in answers if answer.status_code == 200}
    assert len(made) == 1
    recent = http.get("/v1/payment_intents", params={"limit": 100}).json()["data"]
    assert sum(intent["metadata"].get("race") == key for intent in recent) == 1


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    yield store
    store.close()


def test_internal_error_is_stored_without_effects(store):
    def operation():
        store.insert({"id": "pi_1", "object": "payment_intent", "created": 1})
        raise ZeroDivisionError

    for replay in (False, True):
        answer = idempotency.run_once(store, "k", "/v1/x", {}, 1000, f"req_{replay}", operation)
        assert (answer.status, answer.original_request) == (500, "req_False" if replay else None)
        assert json.loads(answer.body)["error"]["type"] == "api_error"
    assert store.get("payment_intent", "pi_1") is None


def test_keys_expire_after_a_day(store, tmp_path):
    answers = iter(range(100))

    def run(key, now):
        return idempotency.run_once(store, key, "/v1/x", {}, now, "req_1", lambda: {"n": next(answers)}).body

    first = run("k", 1000)
    assert run("k", 1000 + 86_399) == first
    assert run("k", 1000 + 86_400) != first
    for n in range(25):
        run(f"old {n}", 200_000)
    for n in range(4):
        run(f"new {n}", 300_000)
    with sqlite3.connect(tmp_path / "stripe.sqlite3") as db:
        assert db.execute("SELECT count(*) FROM idempotency_keys").fetchone() == (4,)
