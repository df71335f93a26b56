"""Paying over HTTP, with the Stripe stand-in."""

import asyncio
from datetime import timedelta

import pytest
from buyer import BUYER, decide, intents_of, pay, place_order, reaches

from payments.main import create
from ticketing_common.testing import new_user, published, serve_app, session, wait_until
from ticketing_common.values.events import (
    PaymentCreated,
    PaymentFailed,
)

NEEDS_AUTHENTICATION = "pm_card_threeDSecure2Required"


@pytest.mark.parametrize("token", ["tok_visa", "pm_card_visa"])
async def test_payment_is_authorised_then_captured_once_the_order_is_complete(client, bus, intents, token):
    order_id = await place_order(bus)
    answer = await pay(client, order_id, token)
    assert answer.status_code == 201, answer.text
    (intent,) = await intents_of(intents, order_id)
    assert (intent.status, intent.amount, intent.currency) == ("requires_capture", 1999, "usd")
    assert intent.metadata["paymentId"] == answer.json()["id"] != intent.id
    (event,) = await wait_until(lambda: published(bus, PaymentCreated))
    assert event == PaymentCreated(id=answer.json()["id"], order_id=order_id, stripe_id=intent.id)
    await decide(bus, order_id, "complete")
    captured = await reaches(intents, order_id, "succeeded")
    assert captured.amount_received == 1999
    again = await pay(client, order_id)
    assert (again.status_code, again.json()) == (400, {"errors": [{"message": "Order is already paid"}]})


async def test_authorisation_of_a_cancelled_order_is_voided(client, bus, intents):
    order_id = await place_order(bus)
    assert (await pay(client, order_id)).status_code == 201
    await decide(bus, order_id, "cancel")
    await reaches(intents, order_id, "canceled")
    again = await pay(client, order_id)
    assert again.json() == {"errors": [{"message": "Cannot pay for a cancelled order"}]}


async def test_decline_is_returned_with_its_code_and_published(client, bus, intents):
    order_id = await place_order(bus)
    answer = await pay(client, order_id, "tok_chargeDeclined")
    assert answer.status_code == 400
    assert answer.json() == {"errors": [{"message": "Your card was declined.", "code": "card_declined"}]}
    (event,) = await wait_until(lambda: published(bus, PaymentFailed))
    assert event == PaymentFailed(order_id=order_id, code="card_declined")
    assert (await pay(client, order_id)).status_code == 400
    await decide(bus, order_id, "cancel")
    await reaches(intents, order_id, "canceled")


async def test_payment_is_202_until_the_buyer_has_authenticated(client, bus, intents, stripe_api):
    order_id = await place_order(bus)
    answers = [
        await pay(client, order_id, token)
        for token in (NEEDS_AUTHENTICATION, "tok_visa", NEEDS_AUTHENTICATION)
    ]
    (intent,) = await intents_of(intents, order_id)
    payment_id = intent.metadata["paymentId"]
    assert [a.status_code for a in answers] == [202] * 3
    assert [a.json() for a in answers] == [{"id": payment_id, "clientSecret": intent.client_secret}] * 3
    assert await published(bus, PaymentCreated) == []
    stripe_api.authenticate(intent.client_secret)
    done = await asyncio.gather(*(pay(client, order_id, NEEDS_AUTHENTICATION) for _ in range(5)))
    assert sorted(a.status_code for a in done) == [201] + [400] * 4
    assert {"id": payment_id} in [a.json() for a in done]
    await wait_until(lambda: published(bus, PaymentCreated))
    await decide(bus, order_id, "complete")
    await reaches(intents, order_id, "succeeded")


async def test_authentication_is_found_by_the_settlement_without_webhook_or_request(
    client, bus, intents, stripe_api
):
    order_id = await place_order(bus)
    assert (await pay(client, order_id, NEEDS_AUTHENTICATION)).status_code == 202
    (intent,) = await intents_of(intents, order_id)
    stripe_api.authenticate(intent.client_secret)
    (event,) = await wait_until(lambda: published(bus, PaymentCreated))
    assert event.order_id == order_id


@pytest.mark.parametrize(
    ("card", "success", "code"),
    [
        (NEEDS_AUTHENTICATION, False, "payment_intent_authentication_failure"),
        ("pm_card_threeDSecureRequiredChargeDeclined", True, "card_declined"),
    ],
)
async def test_failed_authentication_is_returned_with_its_code_and_published(
    client, bus, intents, stripe_api, card, success, code
):
    order_id = await place_order(bus)
    assert (await pay(client, order_id, card)).status_code == 202
    (intent,) = await intents_of(intents, order_id)
    stripe_api.authenticate(intent.client_secret, success=success)
    answer = await pay(client, order_id, card)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (400, code)
    (event,) = await wait_until(lambda: published(bus, PaymentFailed))
    assert event.code == code


async def test_order_cancelled_during_the_authentication_holds_no_money(client, bus, intents, stripe_api):
    order_id = await place_order(bus)
    assert (await pay(client, order_id, NEEDS_AUTHENTICATION)).status_code == 202
    await decide(bus, order_id, "cancel")
    await reaches(intents, order_id, "canceled")
    answer = await pay(client, order_id, NEEDS_AUTHENTICATION)
    assert answer.json() == {"errors": [{"message": "Cannot pay for a cancelled order"}]}


@pytest.mark.parametrize("token", ["tok_unknown", "pm_unknown", "visa", "", 7, None, "tok_x/../y"])
async def test_order_stays_payable_after_an_invalid_token(client, bus, token):
    order_id = await place_order(bus)
    answer = await pay(client, order_id, token)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "token"
    assert (await pay(client, order_id)).status_code == 201


@pytest.mark.parametrize("clicks", [["tok_visa"] * 10, ["tok_visa", "tok_mastercard"] * 5])
async def test_many_clicks_make_one_payment(client, bus, intents, clicks):
    order_id = await place_order(bus)
    answers = await asyncio.gather(*(pay(client, order_id, token) for token in clicks))
    assert sorted(answer.status_code for answer in answers) == [201] + [400] * 9
    assert {a.json()["errors"][0]["message"] for a in answers if a.status_code == 400} == {
        "Order is already paid"
    }
    (intent,) = await intents_of(intents, order_id)
    assert intent.amount_capturable == 1999


async def test_responses_to_a_good_and_a_declined_card_at_once_agree_with_the_event(client, bus, intents):
    for _ in range(10):
        order_id = await place_order(bus)
        good, bad = await asyncio.gather(
            pay(client, order_id, "tok_visa"), pay(client, order_id, "tok_chargeDeclined")
        )
        paid = 201 in (good.status_code, bad.status_code)  # either request may find the authorisation
        assert {good.status_code, bad.status_code} <= {201, 400}

        async def decision(order_id=order_id):
            created = [e for e in await published(bus, PaymentCreated) if e.order_id == order_id]
            failed = [e for e in await published(bus, PaymentFailed) if e.order_id == order_id]
            return created + failed

        (event,) = await wait_until(decision)
        assert isinstance(event, PaymentCreated) == paid
        await decide(bus, order_id, "complete" if paid else "cancel")
        await reaches(intents, order_id, "succeeded" if paid else "canceled")


async def test_order_cancelled_during_the_payment_holds_no_money(client, bus, intents):
    for _ in range(10):
        order_id = await place_order(bus)
        assert (await pay(client, order_id, "tok_unknown")).status_code == 400  # creates the intent
        answer, _ = await asyncio.gather(pay(client, order_id), decide(bus, order_id, "cancel"))
        assert answer.status_code in (201, 400)
        await reaches(intents, order_id, "canceled")


async def test_only_the_buyer_can_pay_and_only_for_an_existing_order(client, bus):
    order_id = await place_order(bus)
    body = {"orderId": order_id, "token": "tok_visa"}
    assert (await client.post("/api/payments", json=body)).status_code == 401
    assert (await pay(client, order_id, user=new_user())).status_code == 401
    assert (await pay(client, "f" * 24)).status_code == 404
    assert (await pay(client, "unknown")).status_code == 404
    answer = await pay(client, 7)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "orderId")


async def test_expired_order_is_not_payable(client, bus):
    answer = await pay(client, await place_order(bus, expires_in=timedelta(seconds=-1)))
    assert answer.json() == {"errors": [{"message": "Cannot pay for a cancelled order"}]}


async def test_payment_is_503_without_stripe_and_the_order_stays_payable(settings, bus, database):
    unreachable = settings.model_copy(update={"stripe_api_base": "http://127.0.0.1:9"})
    order_id = await place_order(bus)
    async with serve_app(create(unreachable)) as client:
        answer = await client.post(
            "/api/payments",
            json={"orderId": order_id, "token": "tok_visa"},
            headers=session(BUYER),
            timeout=15,
        )
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert "127.0.0.1" not in answer.text
    async with serve_app(create(settings)) as client:
        assert (await pay(client, order_id)).status_code == 201


async def test_payment_due_while_the_service_is_stopped_is_settled_after_its_start(
    settings, bus, database, intents
):
    order_id = await place_order(bus)
    async with serve_app(create(settings)) as client:
        assert (await pay(client, order_id)).status_code == 201
    await decide(bus, order_id, "complete")
    async with serve_app(create(settings)):
        await reaches(intents, order_id, "succeeded")


async def test_config_returns_what_browsers_need_to_load_stripe(client):
    answer = await client.get("/api/payments/config")
    assert answer.json() == {"publishableKey": "pk_test_1", "stripeJs": "https://js.stripe.com/v3/"}
