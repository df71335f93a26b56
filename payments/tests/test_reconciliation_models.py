"""What counts as a disagreement between a payment and Stripe."""

from dataclasses import replace

import pytest
from payment_cases import AUTHORISED, BEGUN, CANCELED, CAPTURED, DECLINED, MISSING, OPEN, PAID, REFUNDED

from payments.payment.models import apply_intent, apply_order_event
from payments.reconciliation.models import Sale, compare_payment, compare_sale
from ticketing_common.values.clock import now

SOLD = apply_intent(apply_order_event(PAID, 1, "complete"), CAPTURED)
CANCELLED = apply_intent(apply_order_event(PAID, 1, "cancelled"), CANCELED)
GIVEN_BACK = apply_intent(apply_order_event(SOLD, 2, "refunded"), REFUNDED)


@pytest.mark.parametrize(
    ("payment", "intent"),
    [
        (BEGUN, OPEN),
        (BEGUN, replace(OPEN, status="action")),
        (PAID, AUTHORISED),
        (apply_intent(BEGUN, DECLINED), DECLINED),
        (SOLD, CAPTURED),
        (CANCELLED, CANCELED),
        (GIVEN_BACK, REFUNDED),
    ],
)
def test_payment_agrees_with_the_intent_that_led_to_its_state(payment, intent):
    assert compare_payment(payment, intent) == []


@pytest.mark.parametrize(
    ("payment", "intent", "disagreement"),
    [
        (SOLD, REFUNDED, "the order is complete, Stripe keeps 0 of 1999 cents"),
        (SOLD, replace(CAPTURED, kept_cents=1000), "the order is complete, Stripe keeps 1000 of 1999 cents"),
        (SOLD, MISSING, "our payment is captured, Stripe's intent is missing"),
        (PAID, replace(AUTHORISED, amount_cents=5), "the order costs 1999 cents, the intent is for 5"),
        (PAID, CAPTURED, "the order is created, Stripe keeps 1999 cents"),
        (CANCELLED, AUTHORISED, "the order is cancelled, Stripe still holds the buyer's money"),
        (CANCELLED, CAPTURED, "the order is cancelled, Stripe keeps 1999 cents"),
        (GIVEN_BACK, CAPTURED, "the order is refunded, Stripe keeps 1999 cents"),
    ],
)
def test_each_disagreement_is_a_sentence(payment, intent, disagreement):
    assert disagreement in compare_payment(payment, intent)


@pytest.mark.parametrize(
    ("second", "disagreements"),
    [
        (CANCELED, []),
        (REFUNDED, []),
        (OPEN, ["a second intent (open), ours is pi_1"]),
        (AUTHORISED, ["a second intent (authorised), ours is pi_1"]),
        (CAPTURED, ["a second intent (captured), ours is pi_1"]),
    ],
)
def test_second_intent_disagrees_unless_it_is_canceled_or_refunded(second, disagreements):
    ours = SOLD.evolve(stripe_id="pi_1")
    assert compare_sale(Sale(replace(second, id="pi_2"), ours, None), now()) == disagreements
