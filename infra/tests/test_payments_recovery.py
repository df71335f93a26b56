"""payments is killed at every step of a payment. After a restart it settles the payment by itself."""

import asyncio
import time
from contextlib import suppress

import httpx
import pytest
from api_calls import (
    list_ticket,
    place_order,
    post_payment,
    post_refund,
    retry_while_unavailable,
    wait_for_order_status,
    wait_for_reservation,
)
from nightly_cases import nightly
from stack_under_test import net_captured_cents

from ticketing_common.testing import wait_until
from ticketing_local.errors import StackError

pytestmark = pytest.mark.asyncio(loop_scope="package")

RECOVERY_SECONDS = 10.0
"""The time from the start of the restart until the payment is settled."""


@pytest.fixture(autouse=True)
async def _no_webhooks(long_window_stack):
    """Recovery must not depend on them."""
    await long_window_stack.control_stripe("POST", "/_webhooks", {"held": True})
    yield
    await long_window_stack.control_stripe("DELETE", "/_webhooks")


def set_failpoint(stack, failpoint):
    """See payments_with_failpoints.py."""
    (stack.processes.data_dir / "failpoint").write_text(failpoint)


async def wait_for_death(stack):
    """Waits until payments has reached the failpoint and is dead."""
    failpoint_file = stack.processes.data_dir / "failpoint"
    await wait_until(lambda: asyncio.sleep(0, not failpoint_file.exists()), 15)
    await stack.processes.kill("payments")


async def restart_payments(stack):
    """Returns when the restart began."""
    started = time.monotonic()
    await stack.processes.start("payments")
    return started


async def reserve_ticket(stack):
    """Returns the seller, the buyer and the unpaid order."""
    seller, buyer = await stack.sign_up(), await stack.sign_up()
    return seller, buyer, await place_order(buyer, await list_ticket(seller))


async def die_during_payment(stack, failpoint):
    """payments dies during the buyer's request. Returns the buyer and the order."""
    _, buyer, order = await reserve_ticket(stack)
    set_failpoint(stack, failpoint)
    with suppress(httpx.TransportError):
        response = await post_payment(buyer, order["id"])
        assert response.status_code in (201, 503), response.text
    await wait_for_death(stack)
    return buyer, order


async def wait_for_intent(stack, order_id, status, net_cents):
    async def is_reached():
        intent = await stack.find_intent(order_id)
        return intent is not None and intent.status == status and net_captured_cents(intent) == net_cents

    await wait_until(is_reached)


@pytest.mark.parametrize("failpoint", ["written:authorised", *nightly("confirm:after")])
async def test_authorised_payment_completes_after_a_crash(long_window_stack, failpoint):
    stack = long_window_stack
    buyer, order = await die_during_payment(stack, failpoint)
    started = await restart_payments(stack)
    await wait_for_order_status(buyer, order["id"], "complete")
    await wait_for_intent(stack, order["id"], "succeeded", 1999)
    assert time.monotonic() - started < RECOVERY_SECONDS


@pytest.mark.parametrize("failpoint", ["create:after", *nightly("create:before", "confirm:before")])
async def test_payment_without_authorisation_can_be_repeated_after_a_crash(long_window_stack, failpoint):
    stack = long_window_stack
    buyer, order = await die_during_payment(stack, failpoint)
    await restart_payments(stack)
    response = await retry_while_unavailable(lambda: post_payment(buyer, order["id"]))
    assert response.status_code == 201
    await wait_for_order_status(buyer, order["id"], "complete")
    await wait_for_intent(stack, order["id"], "succeeded", 1999)


@pytest.mark.parametrize(
    "failpoint",
    ["confirm:after", *nightly("create:before", "create:after", "confirm:before", "written:authorised")],
)
async def test_payment_of_a_cancelled_order_is_released_after_a_crash(long_window_stack, failpoint):
    stack = long_window_stack
    buyer, order = await die_during_payment(stack, failpoint)
    assert (await buyer.delete(f"/api/orders/{order['id']}")).status_code == 204
    started = await restart_payments(stack)

    async def is_canceled():
        intent = await stack.find_intent(order["id"])
        return intent is not None and intent.status == "canceled"

    await wait_until(is_canceled)
    assert time.monotonic() - started < RECOVERY_SECONDS
    await wait_for_reservation(buyer, order["ticket"]["id"], None)


@pytest.mark.parametrize("failpoint", ["capture:after", *nightly("capture:before", "written:captured")])
async def test_interrupted_capture_is_made_once(long_window_stack, failpoint):
    stack = long_window_stack
    _, buyer, order = await reserve_ticket(stack)
    set_failpoint(stack, failpoint)
    assert (await post_payment(buyer, order["id"])).status_code == 201
    await wait_for_death(stack)
    started = await restart_payments(stack)
    await wait_for_intent(stack, order["id"], "succeeded", 1999)
    assert time.monotonic() - started < RECOVERY_SECONDS


@pytest.mark.parametrize("failpoint", ["void:before", *nightly("void:after", "written:voided")])
async def test_interrupted_void_is_made(long_window_stack, failpoint):
    """The order is cancelled while payments is dead, so its authorisation must be voided."""
    stack = long_window_stack
    buyer, order = await die_during_payment(stack, "written:authorised")
    assert (await buyer.delete(f"/api/orders/{order['id']}")).status_code == 204
    set_failpoint(stack, failpoint)
    with suppress(StackError):  # it may die before it is ready
        await restart_payments(stack)
    await wait_for_death(stack)
    started = await restart_payments(stack)
    await wait_for_intent(stack, order["id"], "canceled", 0)
    assert time.monotonic() - started < RECOVERY_SECONDS


@pytest.mark.parametrize("failpoint", ["refund:after", *nightly("refund:before", "written:refunded")])
async def test_interrupted_refund_is_made_once(long_window_stack, failpoint):
    stack = long_window_stack
    seller, buyer, order = await reserve_ticket(stack)
    assert (await post_payment(buyer, order["id"])).status_code == 201
    await wait_for_intent(stack, order["id"], "succeeded", 1999)
    set_failpoint(stack, failpoint)
    assert (await post_refund(seller, order["id"])).status_code == 200
    await wait_for_death(stack)
    started = await restart_payments(stack)

    async def is_paid_back():
        return (await seller.get(f"/api/orders/{order['id']}/refund")).json()["status"] == "done"

    await wait_until(is_paid_back)
    assert time.monotonic() - started < RECOVERY_SECONDS
    await wait_for_intent(stack, order["id"], "succeeded", 0)
