"""The payments service is killed at every point of a payment, and the money is right all by itself."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from market import kept_of, listed, ordered, pay, refund, until_accepted, until_held, until_status

from ticketing_common.testing import wait_until
from ticketing_local.errors import StackError

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECOVERED_WITHIN = 10.0
"""Seconds after the restart."""


@pytest.fixture(autouse=True)
async def _no_webhooks(patient_market):
    """What Stripe would tell is no help here."""
    await patient_market.control("POST", "/_webhooks", {"held": True})


def arm(market, point):
    (market.stack.data_dir / "failpoint").write_text(point)


async def dies(market):
    """Until the failpoint was reached and the process is gone."""
    failpoint: Path = market.stack.data_dir / "failpoint"
    await wait_until(lambda: asyncio.sleep(0, not failpoint.exists()), 15)
    await market.stack.kill("payments")


async def restart(market):
    """Returns when it began."""
    begun = time.monotonic()
    await market.stack.start("payments")
    return begun


async def try_to_pay(buyer, order_id):
    try:
        return await pay(buyer, order_id)
    except httpx.TransportError:
        return None


async def sale(market):
    seller, buyer = await market.person(), await market.person()
    placed = await ordered(buyer, await listed(seller))
    return seller, buyer, placed


async def killed_while_paying(market, point):
    """A sale whose payment was cut off there; the service is dead."""
    seller, buyer, placed = await sale(market)
    arm(market, point)
    answer = await try_to_pay(buyer, placed["id"])
    assert answer is None or answer.status_code in (201, 503), answer.text
    await dies(market)
    return seller, buyer, placed


async def until_kept(market, order_id, cents, status):
    async def reached():
        intent = await market.intent_of(order_id)
        return intent is not None and intent.status == status and kept_of(intent) == cents

    await wait_until(reached)


NOTHING_AT_THE_BANK = ["create:before", "create:after", "confirm:before"]
MONEY_AT_THE_BANK = ["confirm:after", "written:authorised"]


@pytest.mark.parametrize("point", MONEY_AT_THE_BANK)
async def test_a_payment_that_the_bank_has_granted_goes_on_by_itself(patient_market, point):
    market = patient_market
    _, buyer, placed = await killed_while_paying(market, point)
    begun = await restart(market)
    await until_status(buyer, placed["id"], "complete")
    await until_kept(market, placed["id"], 1999, "succeeded")
    assert time.monotonic() - begun < RECOVERED_WITHIN


@pytest.mark.parametrize("point", NOTHING_AT_THE_BANK)
async def test_a_payment_that_never_reached_the_bank_can_be_made(patient_market, point):
    market = patient_market
    _, buyer, placed = await killed_while_paying(market, point)
    await restart(market)
    assert (await until_accepted(lambda: pay(buyer, placed["id"]))).status_code == 201
    await until_status(buyer, placed["id"], "complete")
    await until_kept(market, placed["id"], 1999, "succeeded")


@pytest.mark.parametrize("point", [*NOTHING_AT_THE_BANK, *MONEY_AT_THE_BANK])
async def test_a_cancelled_order_holds_no_money_wherever_its_payment_was_cut_off(patient_market, point):
    market = patient_market
    _, buyer, placed = await killed_while_paying(market, point)
    assert (await buyer.delete(f"/api/orders/{placed['id']}")).status_code == 204
    begun = await restart(market)

    async def released():
        intent = await market.intent_of(placed["id"])
        return intent is not None and intent.status == "canceled"

    await wait_until(released)
    assert time.monotonic() - begun < RECOVERED_WITHIN
    await until_held(buyer, placed["ticket"]["id"], None)


@pytest.mark.parametrize("point", ["capture:before", "capture:after", "written:captured"])
async def test_a_capture_that_was_cut_off_is_made_once(patient_market, point):
    market = patient_market
    _, buyer, placed = await sale(market)
    arm(market, point)
    assert (await pay(buyer, placed["id"])).status_code == 201
    await dies(market)
    begun = await restart(market)
    await until_kept(market, placed["id"], 1999, "succeeded")
    assert time.monotonic() - begun < RECOVERED_WITHIN


@pytest.mark.parametrize("point", ["void:before", "void:after", "written:voided"])
async def test_a_release_that_was_cut_off_is_made(patient_market, point):
    """The order is cancelled while the payment's event cannot get through, so that money is held."""
    market = patient_market
    _, buyer, placed = await killed_while_paying(market, "written:authorised")
    assert (await buyer.delete(f"/api/orders/{placed['id']}")).status_code == 204
    arm(market, point)
    with suppress(StackError):  # it may die before it is ready
        await restart(market)
    await dies(market)
    begun = await restart(market)
    await until_kept(market, placed["id"], 0, "canceled")
    assert time.monotonic() - begun < RECOVERED_WITHIN


@pytest.mark.parametrize("point", ["refund:before", "refund:after", "written:refunded"])
async def test_a_refund_that_was_cut_off_is_made_once(patient_market, point):
    market = patient_market
    seller, buyer, placed = await sale(market)
    assert (await pay(buyer, placed["id"])).status_code == 201
    await until_kept(market, placed["id"], 1999, "succeeded")
    arm(market, point)
    assert (await refund(seller, placed["id"])).status_code == 200
    await dies(market)
    begun = await restart(market)

    async def shown():
        return (await seller.get(f"/api/orders/{placed['id']}/refund")).json()["status"] == "done"

    await wait_until(shown)
    assert time.monotonic() - begun < RECOVERED_WITHIN
    await until_kept(market, placed["id"], 0, "succeeded")
