"""The reconciliation command finds each kind of disagreement."""

import os
import sys
import time
from datetime import timedelta
from decimal import Decimal
from subprocess import run

import pytest

from payments.handlers import HANDLERS
from payments.payment.models import apply_intent, new_intent, record_intent, start_attempt
from payments.payment.use_cases import change_payment
from payments.settlement.use_cases import settle
from ticketing_common.storage.mongo import connect
from ticketing_common.values.clock import now
from ticketing_common.values.events import (
    OrderCancelled,
    OrderCompleted,
    OrderCreated,
    OrderedTicket,
    OrderRefunded,
    PricedTicket,
)
from ticketing_common.values.ids import new_id


@pytest.fixture
async def orders(mongo_uri):
    """The orders service's database."""
    database = connect(f"{mongo_uri}-orders")
    yield database["orders"]
    await database.client.drop_database(database.name)


class Shop:
    """Makes sales whose records agree, for a test to change."""

    def __init__(self, payments, stripe, orders):
        self.payments, self.stripe, self.orders = payments, stripe, orders

    async def event(self, event):
        await HANDLERS[type(event)](event, self.payments)
        status = {"OrderCompleted": "complete", "OrderCancelled": "cancelled", "OrderRefunded": "refunded"}
        change = {"$set": {"status": status.get(type(event).__name__, "created"), "ticket.price_cents": 1999}}
        await self.orders.update_one({"_id": event.id}, change, upsert=True)

    async def authorised(self):
        order_id = new_id()
        ticket = PricedTicket(id=new_id(), n=1, price=Decimal("19.99"))
        expires_at = now() + timedelta(minutes=15)
        await self.event(
            OrderCreated(
                id=order_id, version=0, status="created", user_id="b", expires_at=expires_at, ticket=ticket
            )
        )
        payment = await change_payment(self.payments, order_id, lambda p: start_attempt(p, "b", now()))
        intent = await self.stripe.create(new_intent(payment))
        await change_payment(self.payments, order_id, lambda p: record_intent(p, intent.id))
        intent = await self.stripe.confirm(intent.id, "pm_card_visa")
        return await change_payment(self.payments, order_id, lambda p: apply_intent(p, intent))

    async def complete(self):
        payment = await self.authorised()
        ticket = OrderedTicket(id=new_id(), n=1)
        await self.event(OrderCompleted(id=payment.order_id, version=1, user_id="b", ticket=ticket))
        return await self.settled(payment)

    async def cancelled(self):
        payment = await self.authorised()
        ticket = OrderedTicket(id=new_id(), n=1)
        await self.event(OrderCancelled(id=payment.order_id, version=1, reason="user", ticket=ticket))
        return await self.settled(payment)

    async def refunded(self):
        payment = await self.complete()
        ticket = OrderedTicket(id=new_id(), n=1)
        await self.event(OrderRefunded(id=payment.order_id, version=2, user_id="b", ticket=ticket))
        return await self.settled(payment)

    async def settled(self, payment):
        await settle(self.payments, self.stripe, await self.payments.get_by_order(payment.order_id))
        return await self.payments.get_by_order(payment.order_id)


@pytest.fixture
async def shop(payments, stripe, orders):
    return Shop(payments, stripe, orders)


@pytest.fixture
def reconcile(stripe_api, mongo_uri):
    """Runs the command for the sales of this test."""
    # Other tests use the same stand-in, which stores times in whole seconds.
    time.sleep(1 - time.time() % 1)
    since = now().isoformat()

    def reconcile(*arguments, **environment):
        defaults = {
            "MONGO_URI": mongo_uri,
            "MONGO_URI_ORDERS": f"{mongo_uri}-orders",
            "STRIPE_KEY": stripe_api.key,
            "STRIPE_API_BASE": stripe_api.url,
        }
        return run(
            [sys.executable, "-m", "payments.reconciliation", "--since", since, *arguments],
            env=os.environ | defaults | environment,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return reconcile


async def test_status_is_0_if_all_records_agree(shop, reconcile, intents):
    payments = [await shop.complete(), await shop.cancelled(), await shop.refunded(), await shop.authorised()]
    assert [p.status for p in payments] == ["captured", "voided", "refunded", "authorised"]
    done = reconcile()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
    assert "0 disagreements" in done.stdout


async def capture(payment, intents, payments, orders):
    await intents.capture_async(payment.stripe_id)


async def cancel(payment, intents, payments, orders):
    await intents.cancel_async(payment.stripe_id)


async def second_charge(payment, intents, payments, orders):
    await intents.create_async(
        {
            "amount": 1999,
            "currency": "usd",
            "metadata": {"orderId": payment.order_id, "paymentId": payment.id},
            "payment_method_types": ["card"],
            "payment_method": "pm_card_visa",
            "confirm": True,
        }
    )


async def lose_payment(payment, intents, payments, orders):
    await payments._payments.collection.delete_one({"_id": payment.id})


async def lose_intent(payment, intents, payments, orders):
    await change_payment(payments, payment.order_id, lambda p: p.evolve(stripe_id="pi_gone"))


async def lose_event(payment, intents, payments, orders):
    await orders.update_one({"_id": payment.order_id}, {"$set": {"status": "cancelled"}})


async def other_price(payment, intents, payments, orders):
    await orders.update_one({"_id": payment.order_id}, {"$set": {"ticket.price_cents": 5}})


async def other_amount(payment, intents, payments, orders):
    await change_payment(payments, payment.order_id, lambda p: p.evolve(amount_cents=5))


async def lose_capture(payment, intents, payments, orders):
    await change_payment(payments, payment.order_id, lambda p: p.evolve(status="voided"))


DISAGREEMENTS = [
    ("authorised", capture, "our payment is authorised, Stripe's intent is captured"),
    ("authorised", cancel, "our payment is authorised, Stripe's intent is canceled"),
    ("complete", second_charge, "a second intent (captured), ours is pi_"),
    ("cancelled", second_charge, "a second intent (captured), ours is pi_"),
    ("complete", lose_payment, "Stripe has an intent (captured), we have no payment for its order"),
    ("complete", lose_payment, "the order has no payment"),
    ("complete", lose_intent, "our payment is captured, Stripe's intent is missing"),
    ("complete", lose_event, "the order is cancelled, our payment has heard complete"),
    ("complete", other_price, "the order costs 5 cents, our payment 1999"),
    ("complete", other_amount, "the order costs 5 cents, the intent is for 1999"),
    ("complete", lose_capture, "our payment is voided, Stripe's intent is captured"),
]


async def test_each_disagreement_is_found_and_nothing_else(shop, reconcile, intents, payments, orders):
    agreeing = [await shop.complete(), await shop.cancelled(), await shop.refunded(), await shop.authorised()]
    expected = []
    for sale, cause, disagreement in DISAGREEMENTS:
        payment = await getattr(shop, sale)()
        await cause(payment, intents, payments, orders)
        expected.append((payment, disagreement))
    done = reconcile()
    assert done.returncode == 1, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    for payment, disagreement in expected:
        start = f"order {payment.order_id} "
        assert any(start in line and disagreement in line for line in lines), disagreement
    for payment in agreeing:
        assert payment.order_id not in done.stdout
    assert all(line.startswith("order ") for line in lines[:-1]), done.stdout


async def test_disagreement_in_a_long_period_is_printed_once(shop, reconcile, payments, intents, orders):
    payment = await shop.complete()
    await lose_payment(payment, intents, payments, orders)
    done = reconcile("--since", (now() - timedelta(minutes=150)).isoformat())
    assert done.stdout.count(f"intent {payment.stripe_id}: ") == 1


async def test_order_without_a_payment_is_found(orders, reconcile):
    order_id = new_id()
    await orders.insert_one({"_id": order_id, "status": "created", "ticket": {"price_cents": 1999}})
    done = reconcile()
    assert done.returncode == 1
    assert f"order {order_id} payment None intent None: the order has no payment" in done.stdout


async def test_payment_being_settled_is_skipped_until_it_is_overdue(shop, reconcile, payments):
    payment = await shop.authorised()
    ticket = OrderedTicket(id=new_id(), n=1)
    await shop.event(OrderCompleted(id=payment.order_id, version=1, user_id="b", ticket=ticket))
    assert reconcile().returncode == 0
    await change_payment(
        payments, payment.order_id, lambda p: p.evolve(due_since=now() - timedelta(minutes=11))
    )
    done = reconcile()
    assert "the order is complete, Stripe keeps 0 of 1999 cents" in done.stdout
    assert done.returncode == 1


def test_status_is_2_without_stripe_or_a_setting(reconcile):
    down = reconcile(STRIPE_API_BASE="http://127.0.0.1:9")
    assert (down.returncode, down.stdout) == (2, "")
    assert "It could not look" in down.stderr
    unset = reconcile(STRIPE_KEY="")
    assert unset.returncode == 2
    assert "STRIPE_KEY is not set" in unset.stderr


async def test_records_of_the_orders_service_are_optional(shop, reconcile):
    await shop.complete()
    result = reconcile(MONGO_URI_ORDERS="")
    assert result.returncode == 0, result.stdout + result.stderr
