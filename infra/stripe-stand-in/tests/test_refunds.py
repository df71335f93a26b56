"""Refunds with their limits, and disputes."""

import time

import pytest
import stripe

PAID = {"confirm": True, "capture_method": "automatic"}


@pytest.fixture
def pay(create):
    """A captured payment with this card."""
    return lambda card="pm_card_visa": create(payment_method=card, **PAID)


def charge_of(client, intent):
    return client.v1.charges.retrieve(intent.latest_charge)


def until(look, wanted):
    end = time.monotonic() + 5
    while look() != wanted:
        assert time.monotonic() < end, look()
        time.sleep(0.02)


def test_all_of_it_by_the_intent_or_by_the_charge(client, pay):
    for name in ("payment_intent", "charge"):
        intent = pay()
        which = {name: intent.id if name == "payment_intent" else intent.latest_charge}
        refund = client.v1.refunds.create({**which, "metadata": {"orderId": "7"}})
        assert (refund.status, refund.amount, refund.charge) == ("succeeded", 1999, intent.latest_charge)
        assert (refund.payment_intent, refund.metadata["orderId"]) == (intent.id, "7")
        charge = charge_of(client, intent)
        assert (charge.refunded, charge.amount_refunded) == (True, 1999)
        assert client.v1.refunds.retrieve(refund.id).to_dict() == refund.to_dict()
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.refunds.create(which)
        assert caught.value.code == "charge_already_refunded"


def test_in_parts_until_nothing_is_left(client, pay):
    intent = pay()
    client.v1.refunds.create({"payment_intent": intent.id, "amount": 1500})
    assert charge_of(client, intent).refunded is False
    with pytest.raises(
        stripe.InvalidRequestError, match=r"greater than unrefunded amount on charge \(\$4.99\)"
    ):
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 500})
    assert client.v1.refunds.create({"payment_intent": intent.id}).amount == 499
    assert charge_of(client, intent).refunded is True


def test_what_cannot_be_refunded(client, create, pay):
    authorised = create(confirm=True, payment_method="pm_card_visa")
    refused = [
        ({"payment_intent": create().id}, "does not have a successful charge"),
        ({"payment_intent": authorised.id}, "does not have a successful charge"),
        ({"charge": authorised.latest_charge}, "has not been captured"),
        ({"payment_intent": "pi_unknown"}, "No such payment_intent"),
        ({"charge": "ch_unknown"}, "No such charge"),
        ({}, "payment_intent or charge"),
        ({"payment_intent": pay().id, "amount": 2000}, r"greater than charge amount \(\$19.99\)"),
        ({"payment_intent": pay().id, "amount": 0}, "greater than or equal to 1"),
    ]
    for params, message in refused:
        with pytest.raises(stripe.InvalidRequestError, match=message):
            client.v1.refunds.create(params)


def test_a_repetition_under_its_key_is_one_refund(client, pay):
    intent = pay()
    params, options = {"payment_intent": intent.id, "amount": 500}, {"idempotency_key": f"refund {intent.id}"}
    first, again = (client.v1.refunds.create(params, options) for _ in range(2))
    assert first.id == again.id
    assert charge_of(client, intent).amount_refunded == 500


def test_lists_are_of_one_payment(client, pay):
    intent, other = pay(), pay()
    made = [client.v1.refunds.create({"payment_intent": intent.id, "amount": n}).id for n in (1, 2, 3)]
    client.v1.refunds.create({"payment_intent": other.id})
    for which in ({"payment_intent": intent.id}, {"charge": intent.latest_charge}):
        assert [refund.id for refund in client.v1.refunds.list(which).data] == made[::-1]
        page = client.v1.refunds.list({**which, "limit": 2})
        assert [refund.id for refund in page.auto_paging_iter()] == made[::-1]


def test_a_refund_may_fail_later_and_the_money_is_back(client, pay):
    intent = pay("pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    until(lambda: client.v1.refunds.retrieve(refund.id).status, "failed")
    assert client.v1.refunds.retrieve(refund.id).failure_reason == "expired_or_canceled_card"
    assert charge_of(client, intent).amount_refunded == 0


def test_a_refund_may_take_its_time(client, pay):
    refund = client.v1.refunds.create({"payment_intent": pay("pm_card_pendingRefund").id})
    assert refund.status == "pending"
    until(lambda: client.v1.refunds.retrieve(refund.id).status, "succeeded")


def test_a_disputed_charge_is_not_refunded(client, create, pay):
    by_hand = create(confirm=True, payment_method="pm_card_createDispute")
    client.v1.payment_intents.capture(by_hand.id)
    for intent in (by_hand, pay("pm_card_createDispute")):
        assert charge_of(client, intent).disputed
        with pytest.raises(stripe.InvalidRequestError) as caught:
            client.v1.refunds.create({"payment_intent": intent.id})
        assert caught.value.code == "charge_disputed"
