"""What counts as a disagreement about money."""

from dataclasses import replace

import pytest
from payment_cases import AUTHORISED, BEGUN, CANCELED, CAPTURED, DECLINED, MISSING, OPEN, PAID, REFUNDED

from payments.agreement import disagreements
from payments.models import follow_order, observe

SOLD = observe(follow_order(PAID, 1, "complete"), CAPTURED)
CANCELLED = observe(follow_order(PAID, 1, "cancelled"), CANCELED)
GIVEN_BACK = observe(follow_order(SOLD, 2, "refunded"), REFUNDED)


@pytest.mark.parametrize(
    ("payment", "seen"),
    [
        (BEGUN, OPEN),
        (BEGUN, replace(OPEN, status="action")),
        (PAID, AUTHORISED),
        (observe(BEGUN, DECLINED), DECLINED),
        (SOLD, CAPTURED),
        (CANCELLED, CANCELED),
        (GIVEN_BACK, REFUNDED),
    ],
)
def test_the_ends_of_a_sale_agree(payment, seen):
    assert disagreements(payment, seen) == []


@pytest.mark.parametrize(
    ("payment", "seen", "said"),
    [
        (SOLD, REFUNDED, "the order is complete, Stripe keeps 0 of 1999 cents"),
        (SOLD, replace(CAPTURED, taken_cents=1000), "the order is complete, Stripe keeps 1000 of 1999 cents"),
        (SOLD, MISSING, "our payment is captured, Stripe's intent is missing"),
        (PAID, replace(AUTHORISED, amount_cents=5), "the order costs 1999 cents, the intent is for 5"),
        (PAID, CAPTURED, "the order is created, Stripe keeps 1999 cents"),
        (CANCELLED, AUTHORISED, "the order is cancelled, Stripe still holds the buyer's money"),
        (CANCELLED, CAPTURED, "the order is cancelled, Stripe keeps 1999 cents"),
        (GIVEN_BACK, CAPTURED, "the order is refunded, Stripe keeps 1999 cents"),
    ],
)
def test_each_disagreement_is_said(payment, seen, said):
    assert said in disagreements(payment, seen)
