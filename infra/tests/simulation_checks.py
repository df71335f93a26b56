"""What holds in a simulation at every moment, and what holds once all work is done."""

from collections import Counter
from typing import Any

from simulated_services import ALL_STEPS, SimulatedServices

from orders.models import Order
from ticketing_common.values.events import Event, OrderCancelled, OrderCompleted, OrderCreated, OrderRefunded
from ticketing_common.values.money import to_cents

_STATUS: dict[type[Event], str] = {
    OrderCreated: "created",
    OrderCancelled: "cancelled",
    OrderCompleted: "complete",
    OrderRefunded: "refunded",
}
_HISTORIES = (
    ["created"],
    ["created", "complete"],
    ["created", "cancelled"],
    ["created", "complete", "refunded"],
)
_ENDED = ("cancelled", "refunded")


def check_always(services: SimulatedServices) -> None:
    """Holds after every step."""
    orders = {order.id: order for order in services.all_orders()}
    live = Counter(order.ticket.id for order in orders.values() if order.status not in _ENDED)
    assert not live or max(live.values()) == 1, "a ticket is in two live orders"
    for each in [*services.all_tickets(), *orders.values()]:
        versions = [event.version for event in services.published[each.id]]
        assert versions == list(range(each.version + 1)), f"{each} has published {versions}"
    for order_id in orders:
        statuses = [_STATUS[type(event)] for event in services.published[order_id]]
        assert statuses in _HISTORIES, f"an order was {statuses}"
    for copy in services.documents("orders", "tickets"):
        event = services.published[copy["_id"]][copy["version"]]
        assert _fields(copy) == (event.title, to_cents(event.price)), "a copy differs from its ticket"
    for payment in services.all_payments():
        event = services.published[payment.order_id][payment.order_version]
        assert payment.order_status == _STATUS[type(event)], "a payment has a status that its order never had"
    _check_money_always(services, orders)


def _check_money_always(services: SimulatedServices, orders: dict[str, Order]) -> None:
    intents = services.stripe.intents.values()
    authorised = Counter(intent.order_id for intent in intents if intent.was_authorised)
    assert not authorised or max(authorised.values()) == 1, "an order was authorised twice"
    for intent in intents:
        order = orders[intent.order_id]
        assert intent.amount_cents == order.ticket.price_cents, "an intent has another amount than its order"
        if intent.kept_cents:
            assert order.status in ("complete", "refunded"), (
                f"money is kept for an order that is {order.status}"
            )
        if intent.refunded:
            assert order.status == "refunded", f"an order that is {order.status} was refunded"


def finish_all_work(services: SimulatedServices) -> None:
    """Runs all tasks and delivers all events. No webhooks: the outcome must not depend on them."""
    for task in list(services.tasks):
        services.run(task, ALL_STEPS)
    for arrive in services.stripe.late_requests:
        arrive()
    services.stripe.late_requests.clear()
    for _ in range(30):
        before = _read_state(services)
        services.publish_expiries(ALL_STEPS)
        for payment in services.all_payments():
            if payment.settle_at:
                services.settle(payment, ALL_STEPS)
        services.deliver_all()
        if _read_state(services) == before:
            return
    raise AssertionError("the work never ends")


def check_agreement(services: SimulatedServices) -> None:
    """Once all work is done, every service agrees with orders."""
    assert not any(services.pending.values()), f"unhandled events: {services.pending}"
    orders = {order.id: order for order in services.all_orders()}
    live = {order.ticket.id: order.id for order in orders.values() if order.status not in _ENDED}
    tickets = services.all_tickets()
    assert {ticket.id: ticket.order_id for ticket in tickets if ticket.order_id} == live
    copies = {
        copy["_id"]: (copy["version"], *_fields(copy)) for copy in services.documents("orders", "tickets")
    }
    assert copies == {t.id: (t.version, t.title, t.price_cents) for t in tickets}
    payments = {p.order_id: (p.order_version, p.order_status) for p in services.all_payments()}
    assert payments == {order.id: (order.version, order.status) for order in orders.values()}
    unpublished = {e["_id"] for e in services.documents("expiration", "entries") if e["settled_at"] is None}
    assert unpublished == {order.id for order in orders.values() if order.status == "created"}
    _check_money(services, orders)
    if not any(intent.refund_refused for intent in services.stripe.intents.values()):
        assert not services.disagreements, services.disagreements


def _check_money(services: SimulatedServices, orders: dict[str, Order]) -> None:
    refused = {intent.order_id for intent in services.stripe.intents.values() if intent.refund_refused}
    kept = {i.order_id: i.kept_cents for i in services.stripe.intents.values() if i.kept_cents}
    paid = [order for order in orders.values() if order.status == "complete" or order.id in refused]
    assert kept == {order.id: order.ticket.price_cents for order in paid}, "Stripe keeps another amount"
    for intent in services.stripe.intents.values():
        assert intent.status != "authorised", "an authorisation was neither captured nor voided"
        may_still_be_paid = intent.status in ("open", "action")
        assert not may_still_be_paid or orders[intent.order_id].status == "created"
    for order_id, refund in {d["_id"]: d for d in services.documents("orders", "refunds")}.items():
        assert refund["status"] == ("failed" if order_id in refused else "done")
    refunded = {d["_id"] for d in services.documents("orders", "refunds")}
    assert refunded == {order.id for order in orders.values() if order.status == "refunded"}


def _fields(copy: dict[str, Any]) -> tuple[str, int]:
    return copy["title"], copy["price_cents"]


def _read_state(services: SimulatedServices) -> object:
    """All that background jobs change, except when they run again."""
    payments = [
        payment.evolve(version=0, settle_at=None, due_since=None, failures=0, idempotency_key_no=0)
        for payment in services.all_payments()
    ]
    intents = [intent.snapshot() for intent in services.stripe.intents.values()]
    pending = {service: len(events) for service, events in services.pending.items()}
    return services.all_orders(), services.all_tickets(), payments, intents, pending
