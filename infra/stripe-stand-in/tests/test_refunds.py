"""Refunds with their limits, and disputes."""

import time

import pytest
import stripe

PAID = {"confirm": True, "capture_method": "automatic"}


@pytest.fixture
def pay(create):
    """Creates a captured payment with this card."""
    return lambda card="pm_card_visa": create(payment_method=card, **PAID)


def charge_of(client, intent):
    return client.v1.charges.retrieve(intent.latest_charge)


def wait_for(read, wanted):
    deadline = time.monotonic() + 5
    while read() != wanted:
        assert time.monotonic() < deadline, read()
        time.sleep(0.02)


def test_whole_payment_is_refunded_once(client, pay):
    intent = pay()
    refund = client.v1.refunds.create({"payment_intent": intent.id, "metadata": {"orderId": "7"}})
    assert (refund.status, refund.amount, refund.charge) == ("succeeded", 1999, intent.latest_charge)
    assert (refund.payment_intent, refund.metadata["orderId"]) == (intent.id, "7")
    charge = charge_of(client, intent)
    assert (charge.refunded, charge.amount_refunded) == (True, 1999)
    assert client.v1.refunds.retrieve(refund.id).to_dict() == refund.to_dict()
    with pytest.raises(stripe.InvalidRequestError) as caught:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert caught.value.code == "charge_already_refunded"


def test_payment_is_refunded_in_parts_until_nothing_is_left(client, pay):
    intent = pay()
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 1500})
    assert charge_of(client, intent).refunded is False
    with pytest.raises(
        stripe.InvalidRequestError, match=r"greater than unrefunded amount on charge \(\$4.99\)"
    ):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    assert client.v1.refunds.create({"payment_intent": intent.id}).amount == 499
    assert charge_of(client, intent).refunded is True


def test_impossible_refunds_are_rejected(client, create, pay):
    authorised = create(confirm=True, payment_method="pm_card_visa")
    rejected = [
        ({"payment_intent": create().id}, "does not have a successful charge"),
        ({"payment_intent": authorised.id}, "does not have a successful charge"),
        ({"payment_intent": "pi_unknown"}, "No such payment_intent"),
        ({}, "payment_intent"),
        (
            {"payment_intent": pay().id, "amount": 2000},
            r"\(\$20.00\) is greater than charge amount \(\$19.99\)",
        ),
        ({"payment_intent": pay().id, "amount": 0}, "greater than or equal to 1"),
    ]
    for params, message in rejected:
        with pytest.raises(stripe.InvalidRequestError, match=message):
            client.v1.refunds.create(params)


def test_repetition_under_its_key_is_one_refund(client, pay):
    intent = pay()
    params, options = {"payment_intent": intent.id, "amount": 500}, {"idempotency_key": f"refund {intent.id}"}
    first, again = (client.v1.refunds.create(params, options) for _ in range(2))
    assert first.id == again.id
    assert charge_of(client, intent).amount_refunded == 500


def test_list_contains_the_refunds_of_one_payment(client, pay):
    intent, other = pay(), pay()
    made = [client.v1.refunds.create({"payment_intent": intent.id, "amount": n}).id for n in (1, 2, 3)]
    client.v1.refunds.create({"payment_intent": other.id})
    for limit in (10, 2):
        page = client.v1.refunds.list({"payment_intent": intent.id, "limit": limit})
        assert [refund.id for refund in page.auto_paging_iter()] == made[::-1]


def test_failed_refund_returns_the_amount_to_the_charge(client, pay):
    intent = pay("pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    wait_for(lambda: client.v1.refunds.retrieve(refund.id).status, "failed")
    assert client.v1.refunds.retrieve(refund.id).failure_reason == "expired_or_canceled_card"
    assert charge_of(client, intent).amount_refunded == 0


def test_pending_refund_succeeds_later(client, pay):
    refund = client.v1.refunds.create({"payment_intent": pay("pm_card_pendingRefund").id})
    assert refund.status == "pending"
    wait_for(lambda: client.v1.refunds.retrieve(refund.id).status, "succeeded")


def test_disputed_charge_is_not_refunded(client, create, pay):
    by_hand = create(confirm=True, payment_method="pm_card_createDispute")
    client.v1.payment_intents.capture(by_hand.id)
    for intent in (by_hand, pay("pm_card_createDispute")):
        assert charge_of(client, intent).disputed
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.refunds.create({"payment_intent": intent.id})
        assert caught.value.code == "charge_disputed"
