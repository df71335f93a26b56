"""What must hold in a simulated market: in every moment, and when all is quiet."""

from collections import Counter
from typing import Any

from simulated_market import TO_THE_END, Market

from orders.models import Order
from ticketing_common.values.events import OrderCancelled, OrderCompleted, OrderCreated, OrderRefunded
from ticketing_common.values.money import to_cents

_STATUS = {
    OrderCreated: "created",
    OrderCancelled: "cancelled",
    OrderCompleted: "complete",
    OrderRefunded: "refunded",
}
_LIVES = (["created"], ["created", "complete"], ["created", "cancelled"], ["created", "complete", "refunded"])
_ENDED = ("cancelled", "refunded")


def check_always(market: Market) -> None:
    """Whatever is still under way."""
    orders = {order.id: order for order in market.all_orders()}
    live = Counter(order.ticket.id for order in orders.values() if order.status not in _ENDED)
    assert not live or max(live.values()) == 1, "a ticket is in two live orders"
    for each in [*market.all_tickets(), *orders.values()]:
        told = [event.version for event in market.history[each.id]]
        assert told == list(range(each.version + 1)), f"{each} has told {told}"
    for order_id in orders:
        assert [_STATUS[type(event)] for event in market.history[order_id]] in _LIVES, "an order came back"
    for copy in market.documents("orders", "tickets"):
        event = market.history[copy["_id"]][copy["version"]]
        assert _fields(copy) == (event.title, to_cents(event.price)), "a copy is what its owner never was"
    for payment in market.all_payments():
        event = market.history[payment.order_id][payment.order_version]
        assert payment.order_status == _STATUS[type(event)], "a payment follows what its order never was"
    _check_money_always(market, orders)


def _check_money_always(market: Market, orders: dict[str, Order]) -> None:
    intents = market.stripe.intents.values()
    authorised = Counter(intent.order_id for intent in intents if intent.was_authorised)
    assert not authorised or max(authorised.values()) == 1, "a buyer's money was asked for twice"
    for intent in intents:
        order = orders[intent.order_id]
        assert intent.amount_cents == order.ticket.price_cents, "an order has another price"
        if intent.kept_cents:
            assert order.status in ("complete", "refunded"), (
                f"money is kept for an order that is {order.status}"
            )
        if intent.refunded:
            assert order.status == "refunded", f"money was given back for an order that is {order.status}"


def settle_down(market: Market) -> None:
    """Let everything that is under way come to its end. No webhook comes: they are but hints."""
    for process in list(market.processes):
        market.go_on(process, TO_THE_END)
    for call in market.stripe.held_up:
        call()
    market.stripe.held_up.clear()
    for _ in range(30):
        before = _what_matters(market)
        market.tell_expiries(TO_THE_END)
        for payment in market.all_payments():
            if payment.settle_at:
                market.settle(payment, TO_THE_END)
        market.deliver_all()
        if _what_matters(market) == before:
            return
    raise AssertionError("it never becomes quiet")


def check_agreement(market: Market) -> None:
    """When all is quiet, every service's view is the orders service's."""
    assert not any(market.waiting.values()), f"events that nobody takes in: {market.waiting}"
    orders = {order.id: order for order in market.all_orders()}
    live = {order.ticket.id: order.id for order in orders.values() if order.status not in _ENDED}
    tickets = market.all_tickets()
    assert {ticket.id: ticket.order_id for ticket in tickets if ticket.order_id} == live
    copies = {
        copy["_id"]: (copy["version"], *_fields(copy)) for copy in market.documents("orders", "tickets")
    }
    assert copies == {t.id: (t.version, t.title, t.price_cents) for t in tickets}
    payments = {p.order_id: (p.order_version, p.order_status) for p in market.all_payments()}
    assert payments == {order.id: (order.version, order.status) for order in orders.values()}
    to_come = {e["_id"] for e in market.documents("expiration", "entries") if e["settled_at"] is None}
    assert to_come == {order.id for order in orders.values() if order.status == "created"}
    _check_money(market, orders)
    if not any(intent.refund_refused for intent in market.stripe.intents.values()):
        assert not market.alarms, market.alarms


def _check_money(market: Market, orders: dict[str, Order]) -> None:
    refused = {intent.order_id for intent in market.stripe.intents.values() if intent.refund_refused}
    kept = {i.order_id: i.kept_cents for i in market.stripe.intents.values() if i.kept_cents}
    owed = {o.id: o.ticket.price_cents for o in orders.values() if o.status == "complete" or o.id in refused}
    assert kept == owed, "Stripe keeps what complete orders cost, and what it would not give back"
    for intent in market.stripe.intents.values():
        assert intent.status != "authorised", "money is held for nobody"
        may_still_be_paid = intent.status in ("open", "action")
        assert not may_still_be_paid or orders[intent.order_id].status == "created"
    for order_id, refund in {d["_id"]: d for d in market.documents("orders", "refunds")}.items():
        assert refund["status"] == ("failed" if order_id in refused else "done")
    told = {d["_id"] for d in market.documents("orders", "refunds")}
    assert told == {order.id for order in orders.values() if order.status == "refunded"}


def _fields(copy: dict[str, Any]) -> tuple[str, int]:
    return copy["title"], copy["price_cents"]


def _what_matters(market: Market) -> object:
    """All that a sweep may change, but for when it looks again."""
    payments = [
        payment.evolve(version=0, settle_at=None, due_since=None, failures=0, idempotency_key_no=0)
        for payment in market.all_payments()
    ]
    intents = [intent.seen() for intent in market.stripe.intents.values()]
    waiting = {service: len(events) for service, events in market.waiting.items()}
    return market.all_orders(), market.all_tickets(), payments, intents, waiting
