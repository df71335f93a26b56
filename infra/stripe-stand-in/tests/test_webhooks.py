"""Events: one for each change, signed, delivered until they are taken, also twice and in disorder."""

import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stripe

from stripe_stand_in.testing import running

SECRETS = "whsec_1, whsec_2"
INTENT = {"amount": 1999, "currency": "usd", "payment_method_types": ["card"], "capture_method": "manual"}
PAID = {**INTENT, "confirm": True, "payment_method": "pm_card_visa"}


class Receiver:
    """A webhook that remembers the events whose signatures are right, and answers as it is told."""

    def __init__(self):
        self.events = []
        self.attempts = 0
        self.answers = []
        """The statuses of the next answers; then 200."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.attempts += 1
                status = receiver.answers.pop(0) if receiver.answers else 200
                if status == 200:
                    for secret in SECRETS.split(", "):
                        event = stripe.Webhook.construct_event(
                            body, self.headers["Stripe-Signature"], secret, api_key="sk_x"
                        )
                    receiver.events.append(event)
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/webhook"

    def types(self):
        return [event.type for event in self.events]

    def until(self, number):
        end = time.monotonic() + 10
        while len(self.events) < number:
            assert time.monotonic() < end, self.types()
            time.sleep(0.01)
        return self.events


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture
def told(tmp_path, receiver):
    with running(tmp_path, webhook_url=receiver.url, webhook_secret=SECRETS) as api:
        yield api


def test_each_change_is_told_with_the_object_as_it_was_then(told, receiver, client_of):
    client = client_of(told)
    intent = client.v1.payment_intents.create(PAID)
    client.v1.payment_intents.capture(intent.id)
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    events = receiver.until(7)
    assert sorted(receiver.types()) == [
        "charge.captured",
        "charge.refunded",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "payment_intent.created",
        "payment_intent.succeeded",
        "refund.created",
    ]
    about = {event.type: event.data.object for event in events}
    assert about["payment_intent.amount_capturable_updated"].status == "requires_capture"
    assert about["payment_intent.succeeded"].amount_received == 1999
    assert about["charge.refunded"].payment_intent == intent.id
    assert about["refund.created"].id == refund.id
    kept = client.v1.events.list({"limit": 100}).data
    assert sorted(event.id for event in kept) == sorted(event.id for event in events)
    assert client.v1.events.retrieve(kept[0].id).type == kept[0].type
    (one,) = client.v1.events.list({"type": "charge.refunded"}).data
    assert one.request.idempotency_key


@pytest.mark.parametrize(
    ("card", "types"),
    [
        (
            "pm_card_chargeDeclined",
            ["charge.failed", "payment_intent.created", "payment_intent.payment_failed"],
        ),
        ("pm_card_threeDSecure2Required", ["payment_intent.created", "payment_intent.requires_action"]),
    ],
)
def test_what_did_not_come_to_a_payment_is_told_too(told, receiver, client_of, card, types):
    with suppress(stripe.CardError):
        client_of(told).v1.payment_intents.create({**PAID, "payment_method": card})
    receiver.until(len(types))
    assert sorted(receiver.types()) == types


def test_cancellations_disputes_and_failed_refunds_are_told(told, receiver, client_of):
    client = client_of(told)
    client.v1.payment_intents.cancel(client.v1.payment_intents.create(INTENT).id)
    for card in ("pm_card_createDispute", "pm_card_refundFail"):
        intent = client.v1.payment_intents.create({**PAID, "payment_method": card})
        client.v1.payment_intents.capture(intent.id)
    client.v1.refunds.create({"payment_intent": intent.id})
    receiver.until(2 + 6 + 5 + 5)
    for kind in (
        "payment_intent.canceled",
        "charge.dispute.created",
        "refund.failed",
        "charge.refund.updated",
    ):
        assert receiver.types().count(kind) == 1


def test_what_is_refused_is_not_told(told, receiver, client_of):
    client = client_of(told)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create({**PAID, "payment_method": "pm_unknown"})
    intent = client.v1.payment_intents.create(INTENT)
    assert [event.data.object.id for event in receiver.until(1)] == [intent.id]


def test_what_is_not_taken_comes_again(told, receiver, client_of):
    receiver.answers = [500, 302]
    client_of(told).v1.payment_intents.create(INTENT)
    receiver.until(1)
    assert receiver.attempts == 3


def test_twice_and_in_disorder_on_demand(told, receiver, client_of):
    told.webhooks(duplicates=2, disorder_seconds=0.5)
    client = client_of(told)
    for _ in range(5):
        client.v1.payment_intents.create(PAID)
    events = receiver.until(45)
    assert len({event.id for event in events}) == 15
    kept = [event.id for event in client.v1.events.list({"limit": 100}).data][::-1]
    assert list(dict.fromkeys(event.id for event in events)) != kept


def test_a_kill_between_a_change_and_its_delivery_loses_nothing(tmp_path, receiver, client_of):
    with running(tmp_path, webhook_url=receiver.url, webhook_secret=SECRETS) as api:
        api.webhooks(held=True)
        client_of(api).v1.payment_intents.create(PAID)
        api.process.kill()
        api.process.wait()
    assert receiver.events == []
    with running(tmp_path, webhook_url=receiver.url, webhook_secret=SECRETS):
        receiver.until(3)


def test_a_receiver_that_hangs_holds_up_nobody(told, receiver, client_of):
    receiver.server.shutdown()  # it still accepts connections, and answers none
    client = client_of(told)
    begun = time.monotonic()
    for _ in range(20):
        client.v1.payment_intents.create(PAID)
    assert time.monotonic() - begun < 2


def test_without_a_webhook_events_are_kept_and_nothing_waits(stripe_api, http, create):
    create()
    assert http.get("/_webhooks").json()["pending"] == 0
    assert http.get("/v1/events", params={"limit": 1}).json()["data"][0]["type"] == "payment_intent.created"


@pytest.mark.parametrize(
    "state", [{"held": 1}, {"duplicates": -1}, {"duplicates": True}, {"x": 1}, []], ids=str
)
def test_a_state_that_makes_no_sense_is_refused(http, state):
    assert http.post("/_webhooks", json=state).status_code == 400
