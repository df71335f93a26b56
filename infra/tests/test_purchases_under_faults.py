"""Many purchases while Stripe fails, responses are lost and payments is killed."""

import asyncio
import random
import time
from collections import Counter

import pytest
from api_calls import (
    list_ticket,
    place_order,
    post_payment,
    post_refund,
    retry_while_unavailable,
    wait_for_order_status,
)
from nightly_cases import nightly
from stack_under_test import net_captured_cents

pytestmark = pytest.mark.asyncio(loop_scope="package")

SEED = 20261124
BUYERS = 12
"""They buy at the same time."""

FAULTS = [
    {"kind": "error", "status": 500, "share": 0.02},
    {"kind": "error", "status": 500, "share": 0.01, "after": True},
    {"kind": "error", "status": 503, "share": 0.01},
    {"kind": "error", "status": 429, "share": 0.01},
    {"kind": "lost", "share": 0.05},
]
OUTCOMES = {"cancel": 0.2, "expire": 0.2, "pay": 0.6}
KILLS, REFUNDS = 0.05, 0.1
"""The shares of the purchases during which payments is killed, and of those that are refunded."""
REQUIRES_3D_SECURE = "pm_card_threeDSecure2Required"
CARDS = {"tok_visa": 70, REQUIRES_3D_SECURE: 20, "tok_chargeDeclined": 10}


class Purchases:
    def __init__(self, stack, seller, buyers):
        self.outcomes: Counter[str] = Counter()
        self.kills = 0
        self._stack, self._seller, self._buyers = stack, seller, buyers
        self._random = random.Random(SEED)
        self._restarting = asyncio.Lock()

    async def run(self, count):
        remaining = list(range(count))

        async def buy_one_after_another(buyer):
            while remaining:
                remaining.pop()
                await self._purchase(buyer)

        await asyncio.gather(*map(buy_one_after_another, self._buyers))

    async def _purchase(self, buyer):
        outcome = self._random.choices(list(OUTCOMES), list(OUTCOMES.values()))[0]
        card = self._random.choices(list(CARDS), list(CARDS.values()))[0]
        delay = self._random.uniform(0, 0.3)
        is_killed, is_refunded = self._random.random() < KILLS, self._random.random() < REFUNDS
        order_id = (await place_order(buyer, await list_ticket(self._seller)))["id"]
        actions = [self._kill_payments(delay)] if is_killed else []
        if outcome == "cancel":
            actions += [self._pay(buyer, order_id, card), self._cancel(buyer, order_id, delay)]
        elif outcome == "expire":
            actions.append(self._pay(buyer, order_id, REQUIRES_3D_SECURE, authenticates=False))
        else:
            actions.append(self._pay(buyer, order_id, card))
        await asyncio.gather(*actions)
        order = await wait_for_order_status(buyer, order_id, "complete", "cancelled", seconds=30)
        if order["status"] == "complete" and is_refunded:
            assert (await post_refund(self._seller, order_id)).status_code == 200
            order["status"] = "refunded"
        self.outcomes[order["reason"] or order["status"]] += 1

    async def _pay(self, buyer, order_id, card, authenticates=True):
        response = await retry_while_unavailable(lambda: post_payment(buyer, order_id, card), 40)
        assert response.status_code in (201, 202, 400), response.text
        if response.status_code == 202 and authenticates:
            await self._stack.authenticate(response.json()["clientSecret"])
            if self._random.random() < 0.5:  # in the other half only the webhook completes the payment
                response = await retry_while_unavailable(lambda: post_payment(buyer, order_id, card), 40)
                assert response.status_code in (201, 400), response.text

    async def _cancel(self, buyer, order_id, delay):
        await asyncio.sleep(delay)
        response = await retry_while_unavailable(lambda: buyer.delete(f"/api/orders/{order_id}"))
        assert response.status_code in (204, 400), response.text

    async def _kill_payments(self, delay):
        await asyncio.sleep(delay)
        async with self._restarting:
            self.kills += 1
            await self._stack.processes.kill("payments")
            await self._stack.processes.start("payments")


@pytest.mark.parametrize("count", [30, *nightly(300)])
async def test_money_agrees_after_purchases_under_faults(stack, count):
    await stack.set_payment_window(8)  # time for payments to restart on a slow machine
    seller = await stack.sign_up()
    purchases = Purchases(stack, seller, [await stack.sign_up() for _ in range(BUYERS)])
    for n, rule in enumerate(FAULTS):
        await stack.control_stripe("POST", "/_faults", {**rule, "seed": SEED + n})
    started = time.monotonic()
    try:
        await purchases.run(count)
    finally:
        faults = await stack.control_stripe("GET", "/_faults")
        await stack.control_stripe("DELETE", "/_faults")
    await stack.check_money()
    intents = await stack.list_intents()
    print(
        f"seed {SEED}: {count} purchases in {time.monotonic() - started:.0f} s: {dict(purchases.outcomes)}; "
        f"payments killed {purchases.kills} times; {len(intents)} intents, "
        f"{sum(map(net_captured_cents, intents)) / 100:.2f} dollars kept; faults: {faults}"
    )
    assert sum(purchases.outcomes.values()) == count
    assert purchases.outcomes["complete"]
    assert purchases.outcomes["expired"]
