"""Stripe's events over HTTP: signatures, duplicates, outdated events, unrecorded intents."""

import asyncio
import json
import time

import pytest
import stripe
from buyer import decide, intents_of, metric, pay, place_order, reaches

from ticketing_common.testing import published, wait_until
from ticketing_common.values.events import PaymentCreated, PaymentFailed
from ticketing_common.values.ids import new_id

NEW_SECRET = "whsec_new"


def stripe_event(intent, kind, event_id=None):
    """The event that Stripe would send about this intent."""
    thing = intent.to_dict() if kind.startswith("payment_intent.") else charge_of(intent)
    return {
        "id": event_id or f"evt_{new_id()}",
        "object": "event",
        "type": kind,
        "data": {"object": thing},
        "created": int(time.time()),
    }


def charge_of(intent):
    return {"id": "ch_1", "object": "charge", "payment_intent": intent.id}


async def send(client, event, *, secret=NEW_SECRET, age=0, body=None, signature=None):
    body = json.dumps(event, indent=1) if body is None else body
    at = int(time.time()) - age
    if signature is None:
        signature = stripe.WebhookSignature.generate_signature_header(body, secret, at)
    headers = {
        "Stripe-Signature": signature.replace("NOW", str(at)).encode(),
        "Content-Type": "application/json",
    }
    return await client.post("/api/payments/webhook", content=body, headers=headers)


async def begin_payment(client, bus, intents):
    """A payment whose intent is recorded, but not authorised: its token was unknown."""
    order_id = await place_order(bus)
    assert (await pay(client, order_id, "tok_unknown")).status_code == 400
    (intent,) = await intents_of(intents, order_id)
    return order_id, intent


async def count_events(client, kind, outcome):
    return await metric(client, f'ticketing_webhooks_total{{outcome="{outcome}",type="{kind}"}}')


@pytest.mark.parametrize("secret", ["whsec_old", "whsec_new"])
async def test_each_secret_is_accepted(client, bus, intents, secret):
    _, intent = await begin_payment(client, bus, intents)
    event = stripe_event(intent, "payment_intent.canceled")
    answer = await send(client, event, secret=secret)
    assert (answer.status_code, answer.json()) == (200, {})


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": "whsec_other"},
        {"age": 301},
        {"signature": ""},
        {"signature": "t=1,v1=00"},
        {"signature": "t=x,v1=é"},
        {"signature": "t=NOW,v1=é"},
        {"body": "[]"},
        {"body": "{"},
        {"body": '{"id": "evt_1"}'},
        {"body": '{"id": "evt_1", "type": "x", "data": {"object": []}}'},
    ],
    ids=str,
)
async def test_request_without_a_valid_recent_signature_is_400(client, bus, intents, wrong):
    _, intent = await begin_payment(client, bus, intents)
    await intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    event = stripe_event(intent, "payment_intent.amount_capturable_updated")
    answer = await send(client, event, **wrong)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["message"]
    assert await published(bus, PaymentCreated) == []


async def test_signature_covers_the_raw_bytes(client, bus, intents):
    _, intent = await begin_payment(client, bus, intents)
    body = json.dumps(stripe_event(intent, "payment_intent.canceled"), indent=1)
    signature = stripe.WebhookSignature.generate_signature_header(body, NEW_SECRET)
    assert (await send(client, None, body=body, signature=signature)).status_code == 200
    same = json.dumps(json.loads(body))
    assert (await send(client, None, body=same, signature=signature)).status_code == 400


async def test_authorisation_known_only_from_a_webhook_completes_the_payment(client, bus, intents):
    order_id, intent = await begin_payment(client, bus, intents)
    await intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    event = stripe_event(intent, "payment_intent.amount_capturable_updated")
    answers = await asyncio.gather(*(send(client, event) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    (published_event,) = await wait_until(lambda: published(bus, PaymentCreated))
    assert (published_event.order_id, published_event.stripe_id) == (order_id, intent.id)
    await decide(bus, order_id, "complete")
    await reaches(intents, order_id, "succeeded")


async def test_decline_known_only_from_a_webhook_is_published(client, bus, intents):
    order_id, intent = await begin_payment(client, bus, intents)
    with pytest.raises(stripe.CardError):
        await intents.confirm_async(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    await send(client, stripe_event(intent, "payment_intent.payment_failed"))
    (published_event,) = await wait_until(lambda: published(bus, PaymentFailed))
    assert (published_event.order_id, published_event.code) == (order_id, "card_declined")


async def test_duplicate_events_are_counted_and_ignored(client, bus, intents, database):
    _, intent = await begin_payment(client, bus, intents)
    event = stripe_event(intent, "charge.refunded")
    before = await count_events(client, "charge.refunded", "duplicate")
    for _ in range(3):
        assert (await send(client, event)).status_code == 200
    assert await count_events(client, "charge.refunded", "duplicate") == before + 2
    assert await database["stripe_events"].count_documents({"_id": event["id"]}) == 1


@pytest.mark.parametrize(
    "kind",
    [
        "payment_intent.payment_failed",
        "payment_intent.canceled",
        "payment_intent.amount_capturable_updated",
        "charge.refunded",
        "charge.dispute.created",
    ],
)
async def test_outdated_event_changes_nothing(client, bus, intents, payments, kind):
    """The payment depends on the intent's state at Stripe, not on the event."""
    order_id = await place_order(bus)
    assert (await pay(client, order_id)).status_code == 201
    await decide(bus, order_id, "complete")
    intent = await reaches(intents, order_id, "succeeded")

    async def is_captured():
        return (await payments.get_by_order(order_id)).status == "captured"

    await wait_until(is_captured)
    assert (await send(client, stripe_event(intent, kind))).status_code == 200

    async def is_settled():
        return (await payments.get_by_order(order_id)).settle_at is None

    await wait_until(is_settled)
    assert await is_captured()
    assert (await reaches(intents, order_id, "succeeded")).amount_received == 1999
    assert await published(bus, PaymentFailed) == []


async def test_unknown_event_type_is_accepted_and_counted(client, bus, intents):
    _, intent = await begin_payment(client, bus, intents)
    before = await count_events(client, "other", "ignored")
    for event in (
        stripe_event(intent, "charge.updated"),
        {
            "id": "evt_2",
            "type": "customer.created",
            "data": {"object": {"object": "customer", "id": "cus_1"}},
        },
        {"id": "evt_3", "type": "v1.billing.meter.no_meter_found", "object": "v2.core.event"},
    ):
        assert (await send(client, event)).status_code == 200
    assert await count_events(client, "other", "ignored") == before + 3


async def unrecorded_intent(intents, **metadata):
    """An authorised intent that no payment has recorded."""
    return await intents.create_async(
        {
            "amount": 1999,
            "currency": "usd",
            "capture_method": "manual",
            "payment_method_types": ["card"],
            "payment_method": "pm_card_visa",
            "confirm": True,
            "metadata": metadata,
        }
    )


async def test_unrecorded_intent_of_a_payment_without_one_is_recorded(client, bus, intents, payments):
    order_id = await place_order(bus)
    payment = await payments.get_by_order(order_id)
    intent = await unrecorded_intent(intents, orderId=order_id, paymentId=payment.id)
    await send(client, stripe_event(intent, "payment_intent.amount_capturable_updated"))
    (published_event,) = await wait_until(lambda: published(bus, PaymentCreated))
    assert (published_event.order_id, published_event.stripe_id) == (order_id, intent.id)
    assert (await pay(client, order_id)).json()["id"] == payment.id


async def test_second_intent_of_an_order_is_canceled(client, bus, intents):
    order_id = await place_order(bus)
    payment_id = (await pay(client, order_id)).json()["id"]
    second = await unrecorded_intent(intents, orderId=order_id, paymentId=payment_id)
    event = stripe_event(second, "payment_intent.amount_capturable_updated")
    for _ in range(2):
        assert (await send(client, event)).status_code == 200
    assert (await intents.retrieve_async(second.id)).status == "canceled"
    statuses = {intent.id: intent.status for intent in await intents_of(intents, order_id)}
    assert sorted(statuses.values()) == ["canceled", "requires_capture"]


async def test_second_charge_of_an_order_is_refunded(client, bus, intents):
    order_id = await place_order(bus)
    payment_id = (await pay(client, order_id)).json()["id"]
    second = await unrecorded_intent(intents, orderId=order_id, paymentId=payment_id)
    await intents.capture_async(second.id)
    assert (await send(client, stripe_event(second, "payment_intent.succeeded"))).status_code == 200
    charge = (await intents.retrieve_async(second.id, {"expand": ["latest_charge"]})).latest_charge
    assert charge.refunded


async def test_intent_of_an_unknown_order_is_canceled(client, bus, intents):
    intent = await unrecorded_intent(intents, orderId="f" * 24, paymentId="f" * 24)
    assert (
        await send(client, stripe_event(intent, "payment_intent.amount_capturable_updated"))
    ).status_code == 200
    assert (await intents.retrieve_async(intent.id)).status == "canceled"


async def test_intent_of_another_shop_is_ignored(client, bus, intents):
    intent = await unrecorded_intent(intents)
    assert (
        await send(client, stripe_event(intent, "payment_intent.amount_capturable_updated"))
    ).status_code == 200
    assert (await intents.retrieve_async(intent.id)).status == "requires_capture"


async def test_request_from_another_site_is_rejected(client, bus, intents):
    answer = await client.post(
        "/api/payments/webhook", content=b"{}", headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
