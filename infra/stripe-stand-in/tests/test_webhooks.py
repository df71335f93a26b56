"""Events: one for each change, signed, and delivered until the webhook accepts them."""

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
    """A webhook that records the events with valid signatures, and answers with the given statuses."""

    def __init__(self):
        self.events: list[stripe.Event] = []
        self.attempts = 0
        self.answers: list[int] = []
        """The statuses of the next answers, before 200."""
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

    def wait_for(self, number):
        deadline = time.monotonic() + 10
        while len(self.events) < number:
            assert time.monotonic() < deadline, self.types()
            time.sleep(0.01)
        return self.events


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture
def api(tmp_path, receiver):
    with running(tmp_path, webhook_url=receiver.url, webhook_secret=SECRETS) as api:
        yield api


def test_each_change_has_an_event_with_the_object_at_that_time(api, receiver, client_of):
    client = client_of(api)
    intent = client.v1.payment_intents.create(PAID)
    client.v1.payment_intents.capture(intent.id)
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    events = receiver.wait_for(7)
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
    listed = client.v1.events.list({"limit": 100}).data
    assert sorted(event.id for event in listed) == sorted(event.id for event in events)
    assert client.v1.events.retrieve(listed[0].id).type == listed[0].type
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
def test_unsuccessful_confirmations_have_events(api, receiver, client_of, card, types):
    with suppress(stripe.CardError):
        client_of(api).v1.payment_intents.create({**PAID, "payment_method": card})
    receiver.wait_for(len(types))
    assert sorted(receiver.types()) == types


def test_cancellations_disputes_and_failed_refunds_have_events(api, receiver, client_of):
    client = client_of(api)
    client.v1.payment_intents.cancel(client.v1.payment_intents.create(INTENT).id)
    for card in ("pm_card_createDispute", "pm_card_refundFail"):
        intent = client.v1.payment_intents.create({**PAID, "payment_method": card})
        client.v1.payment_intents.capture(intent.id)
    client.v1.refunds.create({"payment_intent": intent.id})
    receiver.wait_for(2 + 6 + 5 + 5)
    for kind in (
        "payment_intent.canceled",
        "charge.dispute.created",
        "refund.failed",
        "charge.refund.updated",
    ):
        assert receiver.types().count(kind) == 1


def test_rejected_request_has_no_event(api, receiver, client_of):
    client = client_of(api)
    with pytest.raises(stripe.InvalidRequestError):
        client.v1.payment_intents.create({**PAID, "payment_method": "pm_unknown"})
    intent = client.v1.payment_intents.create(INTENT)
    assert [event.data.object.id for event in receiver.wait_for(1)] == [intent.id]


def test_delivery_is_retried_until_it_succeeds(api, receiver, client_of):
    receiver.answers = [500, 302]
    client_of(api).v1.payment_intents.create(INTENT)
    receiver.wait_for(1)
    assert receiver.attempts == 3


def test_events_are_duplicated_and_reordered_on_demand(api, receiver, client_of):
    api.set_delivery(duplicates=2, disorder_seconds=0.5)
    client = client_of(api)
    for _ in range(5):
        client.v1.payment_intents.create(PAID)
    events = receiver.wait_for(45)
    assert len({event.id for event in events}) == 15
    recorded = [event.id for event in client.v1.events.list({"limit": 100}).data][::-1]
    assert list(dict.fromkeys(event.id for event in events)) != recorded


def test_kill_between_a_change_and_its_delivery_loses_no_event(tmp_path, receiver, client_of):
    with running(tmp_path, webhook_url=receiver.url, webhook_secret=SECRETS) as api:
        api.set_delivery(held=True)
        client_of(api).v1.payment_intents.create(PAID)
        api.process.kill()
        api.process.wait()
    assert receiver.events == []
    with running(tmp_path, webhook_url=receiver.url, webhook_secret=SECRETS):
        receiver.wait_for(3)


def test_hanging_receiver_does_not_block_calls(api, receiver, client_of):
    receiver.server.shutdown()  # it still accepts connections, and answers none of them
    client = client_of(api)
    started = time.monotonic()
    for _ in range(20):
        client.v1.payment_intents.create(PAID)
    assert time.monotonic() - started < 2


def test_events_are_stored_without_a_webhook(stripe_api, http, create):
    create()
    assert http.get("/_webhooks").json()["pending"] == 0
    assert http.get("/v1/events", params={"limit": 1}).json()["data"][0]["type"] == "payment_intent.created"


@pytest.mark.parametrize(
    "state", [{"held": 1}, {"duplicates": -1}, {"duplicates": True}, {"x": 1}, []], ids=str
)
def test_invalid_delivery_settings_are_rejected(http, state):
    assert http.post("/_webhooks", json=state).status_code == 400
