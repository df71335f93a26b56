"""Stripe's events over HTTP, signed and not, late, twice and in disorder."""

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


def event_of(intent, kind, event_id=None):
    """What Stripe would send about this intent."""
    about = intent.to_dict() if kind.startswith("payment_intent.") else charge_of(intent)
    return {
        "id": event_id or f"evt_{new_id()}",
        "object": "event",
        "type": kind,
        "data": {"object": about},
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


async def begun(client, bus, intents):
    """A payment whose intent is noted, and no more: its token was unknown."""
    order_id = await place_order(bus)
    assert (await pay(client, order_id, "tok_unknown")).status_code == 400
    (intent,) = await intents_of(intents, order_id)
    return order_id, intent


async def counted(client, kind, outcome):
    return await metric(client, f'ticketing_webhooks_total{{outcome="{outcome}",type="{kind}"}}')


@pytest.mark.parametrize("secret", ["whsec_old", "whsec_new"])
async def test_each_of_several_secrets_is_accepted(client, bus, intents, secret):
    _, intent = await begun(client, bus, intents)
    event = event_of(intent, "payment_intent.canceled")
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
async def test_what_stripe_has_not_signed_just_now_is_400(client, bus, intents, wrong):
    _, intent = await begun(client, bus, intents)
    await intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    event = event_of(intent, "payment_intent.amount_capturable_updated")
    answer = await send(client, event, **wrong)
    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"][0]["message"]
    assert await published(bus, PaymentCreated) == []


async def test_the_signature_is_over_the_raw_bytes(client, bus, intents):
    _, intent = await begun(client, bus, intents)
    body = json.dumps(event_of(intent, "payment_intent.canceled"), indent=1)
    signature = stripe.WebhookSignature.generate_signature_header(body, NEW_SECRET)
    assert (await send(client, None, body=body, signature=signature)).status_code == 200
    same = json.dumps(json.loads(body))
    assert (await send(client, None, body=same, signature=signature)).status_code == 400


async def test_an_authorisation_that_nobody_told_us_of_goes_on(client, bus, intents):
    order_id, intent = await begun(client, bus, intents)
    await intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    event = event_of(intent, "payment_intent.amount_capturable_updated")
    answers = await asyncio.gather(*(send(client, event) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    (told,) = await wait_until(lambda: published(bus, PaymentCreated))
    assert (told.order_id, told.stripe_id) == (order_id, intent.id)
    await decide(bus, order_id, "complete")
    await reaches(intents, order_id, "succeeded")


async def test_a_decline_that_nobody_told_us_of_frees_the_ticket(client, bus, intents):
    order_id, intent = await begun(client, bus, intents)
    with pytest.raises(stripe.CardError):
        await intents.confirm_async(intent.id, {"payment_method": "pm_card_chargeDeclined"})
    await send(client, event_of(intent, "payment_intent.payment_failed"))
    (told,) = await wait_until(lambda: published(bus, PaymentFailed))
    assert (told.order_id, told.code) == (order_id, "card_declined")


async def test_an_event_takes_effect_once_and_is_counted(client, bus, intents, database):
    _, intent = await begun(client, bus, intents)
    event = event_of(intent, "charge.refunded")
    before = await counted(client, "charge.refunded", "duplicate")
    for _ in range(3):
        assert (await send(client, event)).status_code == 200
    assert await counted(client, "charge.refunded", "duplicate") == before + 2
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
async def test_an_event_that_is_old_news_changes_nothing(client, bus, intents, payments, kind):
    """It tells of what is not so, or not any more: what Stripe has now is what counts."""
    order_id = await place_order(bus)
    assert (await pay(client, order_id)).status_code == 201
    await decide(bus, order_id, "complete")
    intent = await reaches(intents, order_id, "succeeded")

    async def captured():
        return (await payments.of_order(order_id)).status == "captured"

    await wait_until(captured)
    assert (await send(client, event_of(intent, kind))).status_code == 200

    async def looked_at():
        return (await payments.of_order(order_id)).settle_at is None

    await wait_until(looked_at)
    assert await captured()
    assert (await reaches(intents, order_id, "succeeded")).amount_received == 1999
    assert await published(bus, PaymentFailed) == []


async def test_an_unknown_kind_is_accepted_and_counted(client, bus, intents):
    _, intent = await begun(client, bus, intents)
    before = await counted(client, "other", "ignored")
    for event in (
        event_of(intent, "charge.updated"),
        {
            "id": "evt_2",
            "type": "customer.created",
            "data": {"object": {"object": "customer", "id": "cus_1"}},
        },
        {"id": "evt_3", "type": "v1.billing.meter.no_meter_found", "object": "v2.core.event"},
    ):
        assert (await send(client, event)).status_code == 200
    assert await counted(client, "other", "ignored") == before + 3


async def stray(intents, **metadata):
    """An intent that no payment of ours has noted, with money held."""
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


async def test_an_intent_of_a_payment_that_had_not_noted_it_is_adopted(client, bus, intents, payments):
    order_id = await place_order(bus)
    payment = await payments.of_order(order_id)
    intent = await stray(intents, orderId=order_id, paymentId=payment.id)
    await send(client, event_of(intent, "payment_intent.amount_capturable_updated"))
    (told,) = await wait_until(lambda: published(bus, PaymentCreated))
    assert (told.order_id, told.stripe_id) == (order_id, intent.id)
    assert (await pay(client, order_id)).json()["id"] == payment.id


async def test_a_second_intent_for_an_order_is_released(client, bus, intents):
    order_id = await place_order(bus)
    payment_id = (await pay(client, order_id)).json()["id"]
    second = await stray(intents, orderId=order_id, paymentId=payment_id)
    event = event_of(second, "payment_intent.amount_capturable_updated")
    for _ in range(2):
        assert (await send(client, event)).status_code == 200
    assert (await intents.retrieve_async(second.id)).status == "canceled"
    statuses = {intent.id: intent.status for intent in await intents_of(intents, order_id)}
    assert sorted(statuses.values()) == ["canceled", "requires_capture"]


async def test_a_second_charge_for_an_order_is_given_back(client, bus, intents):
    order_id = await place_order(bus)
    payment_id = (await pay(client, order_id)).json()["id"]
    second = await stray(intents, orderId=order_id, paymentId=payment_id)
    await intents.capture_async(second.id)
    assert (await send(client, event_of(second, "payment_intent.succeeded"))).status_code == 200
    charge = (await intents.retrieve_async(second.id, {"expand": ["latest_charge"]})).latest_charge
    assert charge.refunded


async def test_money_held_for_an_order_that_is_unknown_is_released(client, bus, intents):
    intent = await stray(intents, orderId="f" * 24, paymentId="f" * 24)
    assert (
        await send(client, event_of(intent, "payment_intent.amount_capturable_updated"))
    ).status_code == 200
    assert (await intents.retrieve_async(intent.id)).status == "canceled"


async def test_another_shops_intent_is_left_alone(client, bus, intents):
    intent = await stray(intents)
    assert (
        await send(client, event_of(intent, "payment_intent.amount_capturable_updated"))
    ).status_code == 200
    assert (await intents.retrieve_async(intent.id)).status == "requires_capture"


async def test_a_page_of_another_site_is_refused_as_everywhere(client, bus, intents):
    answer = await client.post(
        "/api/payments/webhook", content=b"{}", headers={"Origin": "https://evil.example"}
    )
    assert answer.status_code == 403
