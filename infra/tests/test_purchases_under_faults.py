"""Three hundred purchases while Stripe errs, answers are lost and the payments service is killed."""

import asyncio
import random
import time
from collections import Counter

import pytest
from market import kept_of, listed, ordered, pay, refund, until_accepted, until_status

pytestmark = pytest.mark.asyncio(loop_scope="module")

PURCHASES = 300
SEED = 20261124
AT_ONCE = 12

FAULTS = [
    {"kind": "error", "status": 500, "share": 0.02},
    {"kind": "error", "status": 500, "share": 0.01, "after": True},
    {"kind": "error", "status": 503, "share": 0.01},
    {"kind": "error", "status": 429, "share": 0.01},
    {"kind": "lost", "share": 0.05},
]
KILLS, CANCELLATIONS, EXPIRIES = 0.05, 0.2, 0.2
CARDS = {"tok_visa": 70, "pm_card_threeDSecure2Required": 20, "tok_chargeDeclined": 10}


class Purchases:
    def __init__(self, market, seller, buyers):
        self.market, self.seller, self.buyers = market, seller, buyers
        self.chance = random.Random(SEED)
        self.ends: Counter[str] = Counter()
        self.kills = 0
        self._restarting = asyncio.Lock()

    async def run(self):
        waiting = list(range(PURCHASES))
        await asyncio.gather(*(self._one_after_another(waiting, buyer) for buyer in self.buyers))

    async def _one_after_another(self, waiting, buyer):
        while waiting:
            waiting.pop()
            await self._purchase(buyer)

    async def _purchase(self, buyer):
        chance = self.chance
        fate = chance.choices(
            ["cancel", "expire", "pay"], [CANCELLATIONS, EXPIRIES, 1 - CANCELLATIONS - EXPIRIES]
        )[0]
        card = chance.choices(list(CARDS), list(CARDS.values()))[0]
        delay, killed, refunded = chance.uniform(0, 0.3), chance.random() < KILLS, chance.random() < 0.1
        placed = await ordered(buyer, await listed(self.seller))
        at_once = [self._kill(delay)] if killed else []
        if fate == "cancel":
            at_once += [self._pay(buyer, placed, card), self._cancel(buyer, placed, delay)]
        elif fate == "expire":  # the buyer goes to the bank, and never comes back
            at_once.append(self._pay(buyer, placed, "pm_card_threeDSecure2Required", comes_back=False))
        else:
            at_once.append(self._pay(buyer, placed, card))
        await asyncio.gather(*at_once)
        decided = await until_status(buyer, placed["id"], "complete", "cancelled", seconds=30)
        if decided["status"] == "complete" and refunded:
            assert (await refund(self.seller, placed["id"])).status_code == 200
            decided["status"] = "refunded"
        self.ends[decided["reason"] or decided["status"]] += 1

    async def _pay(self, buyer, placed, card, comes_back=True):
        answer = await until_accepted(lambda: pay(buyer, placed["id"], card), 40)
        assert answer.status_code in (201, 202, 400), answer.text
        if answer.status_code == 202 and comes_back:
            await self.market.authenticate(answer.json()["clientSecret"])
            if self.chance.random() < 0.5:
                answer = await until_accepted(lambda: pay(buyer, placed["id"], card), 40)
                assert answer.status_code in (201, 400), answer.text

    async def _cancel(self, buyer, placed, delay):
        await asyncio.sleep(delay)
        answer = await until_accepted(lambda: buyer.delete(f"/api/orders/{placed['id']}"))
        assert answer.status_code in (204, 400), answer.text

    async def _kill(self, delay):
        await asyncio.sleep(delay)
        async with self._restarting:
            self.kills += 1
            await self.market.stack.kill("payments")
            await self.market.stack.start("payments")


async def test_three_hundred_purchases_under_faults_leave_the_money_right(market):
    seller = await market.person()
    purchases = Purchases(market, seller, [await market.person() for _ in range(AT_ONCE)])
    for n, rule in enumerate(FAULTS):
        await market.control("POST", "/_faults", {**rule, "seed": SEED + n})
    begun = time.monotonic()
    try:
        await purchases.run()
    finally:
        struck = await market.control("GET", "/_faults")
        await market.control("DELETE", "/_faults")
    await market.check_money()
    intents = await market.intents()
    print(
        f"seed {SEED}: {PURCHASES} purchases in {time.monotonic() - begun:.0f} s; {dict(purchases.ends)}; "
        f"payments killed {purchases.kills} times; {len(intents)} intents, "
        f"{sum(map(kept_of, intents)) / 100:.2f} dollars kept; faults {struck}"
    )
    assert sum(purchases.ends.values()) == PURCHASES
    assert purchases.ends["complete"]
    assert purchases.ends["expired"]
