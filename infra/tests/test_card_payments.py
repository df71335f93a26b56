"""Card payments end to end: 3-D Secure, webhooks, refunds, and a Stripe that is slow or down."""

import asyncio
import time

import pytest
from api_calls import (
    buy_ticket,
    list_ticket,
    place_order,
    post_order,
    post_payment,
    post_refund,
    wait_for_order_status,
    wait_for_reservation,
)
from stack_under_test import net_captured_cents

from ticketing_common.testing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="package")

REQUIRES_3D_SECURE = "pm_card_threeDSecure2Required"


@pytest.fixture(autouse=True)
async def _reset_stripe(stack):
    yield
    await stack.control_stripe("DELETE", "/_faults")
    await stack.control_stripe("DELETE", "/_webhooks")


async def wait_for_intent(stack, order_id, *statuses):
    async def find_intent():
        intent = await stack.find_intent(order_id)
        return intent if intent and intent.status in statuses else None

    return await wait_until(find_intent)


async def start_3d_secure(stack, buyer, order_id):
    """Returns the response's body: the id and the client secret of a payment that needs authentication."""
    response = await post_payment(buyer, order_id, REQUIRES_3D_SECURE)
    assert response.status_code == 202, response.text
    assert response.json().keys() == {"id", "clientSecret"}
    return response.json()


async def test_webhook_completes_a_payment_after_authentication(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    order = await place_order(buyer, await list_ticket(seller))
    payment = await start_3d_secure(stack, buyer, order["id"])
    assert await start_3d_secure(stack, buyer, order["id"]) == payment
    assert (await post_payment(buyer, order["id"], "tok_visa")).json() == payment
    assert (await stack.authenticate(payment["clientSecret"])).status_code == 200
    await wait_for_order_status(buyer, order["id"], "complete")
    await wait_for_intent(stack, order["id"], "succeeded")
    repeated = await post_payment(buyer, order["id"])
    assert repeated.json() == {"errors": [{"message": "Order is already paid"}]}


async def test_repeated_request_completes_a_payment_without_webhooks(stack):
    await stack.control_stripe("POST", "/_webhooks", {"held": True})
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    order = await place_order(buyer, await list_ticket(seller))
    payment = await start_3d_secure(stack, buyer, order["id"])
    await stack.authenticate(payment["clientSecret"])
    response = await post_payment(buyer, order["id"], REQUIRES_3D_SECURE)
    assert (response.status_code, response.json()) == (201, {"id": payment["id"]})
    await wait_for_order_status(buyer, order["id"], "complete")
    await wait_for_intent(stack, order["id"], "succeeded")


async def test_failed_authentication_cancels_the_order_and_releases_the_ticket(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    ticket_id = await list_ticket(seller)
    order = await place_order(buyer, ticket_id)
    payment = await start_3d_secure(stack, buyer, order["id"])
    await stack.authenticate(payment["clientSecret"], success=False)
    cancelled = await wait_for_order_status(buyer, order["id"], "cancelled", seconds=3)
    assert cancelled["reason"] == "payment-failed"
    await wait_for_reservation(buyer, ticket_id, None)
    await wait_for_intent(stack, order["id"], "canceled")


async def test_order_that_expires_during_authentication_is_not_charged(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    ticket_id = await list_ticket(seller)
    order = await place_order(buyer, ticket_id)
    payment = await start_3d_secure(stack, buyer, order["id"])
    assert (await wait_for_order_status(buyer, order["id"], "cancelled"))["reason"] == "expired"
    await wait_for_intent(stack, order["id"], "canceled")
    assert (await stack.authenticate(payment["clientSecret"])).status_code == 400
    response = await post_payment(buyer, order["id"])
    assert response.json() == {"errors": [{"message": "Cannot pay for a cancelled order"}]}
    await wait_for_reservation(buyer, ticket_id, None)


async def test_late_duplicate_and_reordered_webhooks_change_nothing(stack):
    await stack.control_stripe("POST", "/_webhooks", {"duplicates": 2, "disorder_seconds": 1.5})
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    paid, declined = [await place_order(buyer, await list_ticket(seller)) for _ in range(2)]
    payment = await start_3d_secure(stack, buyer, paid["id"])
    await stack.authenticate(payment["clientSecret"])
    assert (await post_payment(buyer, declined["id"], "tok_chargeDeclined")).status_code == 400
    await wait_for_order_status(buyer, paid["id"], "complete")
    assert (await post_refund(seller, paid["id"])).status_code == 200

    async def all_are_delivered():
        return (await stack.control_stripe("GET", "/_webhooks"))["pending"] == 0

    await wait_until(all_are_delivered, 15)
    payments = stack.database("payments")["payments"]

    async def are_settled():
        found = await payments.find({"order_id": {"$in": [paid["id"], declined["id"]]}}).to_list(2)
        return {p["order_id"]: p["status"] for p in found if p["settle_at"] is None} == {
            paid["id"]: "refunded",
            declined["id"]: "voided",
        }

    await wait_until(are_settled)


async def test_refund_pays_back_once_and_the_ticket_can_be_sold_again(stack):
    seller, buyer, second_buyer = [await stack.sign_up() for _ in range(3)]
    ticket_id = await list_ticket(seller)
    order_id = await buy_ticket(buyer, ticket_id)
    responses = await asyncio.gather(*(post_refund(seller, order_id) for _ in range(5)))
    assert [(r.status_code, r.json()["status"]) for r in responses] == [(200, "refunded")] * 5
    assert (await buyer.get(f"/api/orders/{order_id}")).json()["status"] == "refunded"

    async def is_paid_back():
        return (await seller.get(f"/api/orders/{order_id}/refund")).json()["status"] == "done"

    await wait_until(is_paid_back)
    assert net_captured_cents(await stack.find_intent(order_id)) == 0
    await wait_for_reservation(buyer, ticket_id, None)
    second_order_id = await buy_ticket(second_buyer, ticket_id)
    await wait_for_reservation(second_buyer, ticket_id, second_order_id)


async def test_seller_sees_that_a_refund_was_refused(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    order = await place_order(buyer, await list_ticket(seller))
    assert (await post_payment(buyer, order["id"], "pm_card_createDispute")).status_code == 201
    await wait_for_order_status(buyer, order["id"], "complete")
    await wait_for_intent(stack, order["id"], "succeeded")
    assert (await post_refund(seller, order["id"])).status_code == 200

    async def find_refused():
        refund = (await seller.get(f"/api/orders/{order['id']}/refund")).json()
        return refund if refund["status"] == "failed" else None

    assert (await wait_until(find_refused))["code"] == "charge_disputed"
    stack.refused_refunds.add(order["id"])


async def test_other_requests_stay_fast_while_stripe_does_not_respond(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    order = await place_order(buyer, await list_ticket(seller))
    await stack.control_stripe("POST", "/_faults", {"kind": "delay", "seconds": 30})
    started = time.monotonic()
    payments = [asyncio.create_task(post_payment(buyer, order["id"])) for _ in range(20)]
    await asyncio.sleep(0.2)
    for _ in range(20):
        sent = time.monotonic()
        assert (await buyer.get("/api/payments/config")).status_code == 200
        assert (await buyer.get(f"/api/orders/{order['id']}")).status_code == 200
        assert time.monotonic() - sent < 1
    for response in await asyncio.gather(*payments):
        assert response.status_code in (503, 400), response.text
        assert response.status_code == 400 or int(response.headers["retry-after"]) >= 1
    assert time.monotonic() - started < 12


async def test_order_stays_payable_while_stripe_is_down(stack):
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    order = await place_order(buyer, await list_ticket(seller))
    await stack.processes.kill("stripe")
    payment = asyncio.create_task(post_payment(buyer, order["id"]))
    await asyncio.sleep(0.3)
    await stack.processes.start("stripe")
    assert (await payment).status_code == 201
    await wait_for_order_status(buyer, order["id"], "complete")
    assert (await post_order(seller, order["ticket"]["id"])).status_code == 400
