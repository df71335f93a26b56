"""Hypothesis interleaves requests, events, network faults and crashes. All services agree in the end."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run
from nightly_cases import nightly
from simulated_services import ALL_STEPS, SimulatedServices
from simulated_stripe import CARDS, FAULTS, Intent
from simulation import matches
from simulation_checks import check_agreement, check_always, finish_all_work

from orders.models import Order
from payments.payment.models import Payment
from ticketing_common.http.sessions import User
from tickets.models import Ticket

T = TypeVar("T")

BUYERS = [User("b0b", "bob@example.com"), User("a11ce", "alice@example.com")]

buyers = st.sampled_from(BUYERS)
consumers = st.sampled_from(["orders", "tickets", "payments", "expiration"])
cards = st.sampled_from(CARDS)
faults = st.one_of(st.none(), st.sampled_from(FAULTS))
indexes = st.integers(0, 5)
"""Counted from the newest."""
prices = st.integers(1, 9)
step_counts = st.one_of(st.just(ALL_STEPS), st.integers(1, 9))
"""How many steps a task runs before others may run."""


class AnyOrder(RuleBasedStateMachine):
    """Two tickets, two buyers, and any order of their requests, of the events and of the faults."""

    def __init__(self) -> None:
        super().__init__()
        self.services = SimulatedServices()
        self.versions: dict[str, int] = {}

    @initialize(status=st.sampled_from(["listed", "sold", "refunded"]))
    def begin(self, status: str) -> None:
        """The first ticket is listed; the second one has this status, so that runs get further."""
        for price in (20, 30):
            self.services.sell(price, ALL_STEPS)
        if status != "listed":
            self.buy_and_pay(index=0, buyer=BUYERS[0], card="good", steps=ALL_STEPS, fault=None)
            for _ in range(3):
                self.deliver_and_settle()
        if status == "refunded":
            self.cancel_or_refund(index=0, by_seller=True, steps=ALL_STEPS)
            self.deliver_and_settle()

    @rule(index=indexes, price=prices, steps=step_counts)
    def edit(self, index: int, price: int, steps: int) -> None:
        self.services.edit(_pick(self.services.all_tickets(), index), price, steps)

    @rule(index=indexes, buyer=buyers, steps=step_counts, rival=st.booleans())
    def buy(self, index: int, buyer: User, steps: int, rival: bool) -> None:
        ticket = _pick(self.services.all_tickets(), index)
        self.services.buy(ticket, buyer, steps)
        if rival:
            self.services.buy(ticket, BUYERS[0], ALL_STEPS)

    @rule(index=indexes, buyer=buyers, card=cards, steps=step_counts, fault=faults)
    def buy_and_pay(self, index: int, buyer: User, card: str, steps: int, fault: str | None) -> None:
        self.services.deliver_all()
        self.services.buy(_pick(self.services.all_tickets(), index), buyer, ALL_STEPS)
        self.services.deliver_all()
        if payments := self.services.all_payments():
            self.services.pay(payments[-1], card, steps, fault)

    @precondition(lambda self: self.services.all_payments())
    @rule(index=indexes, card=cards, steps=step_counts, fault=faults)
    def pay(self, index: int, card: str, steps: int, fault: str | None) -> None:
        self.services.pay(_pick(self.services.all_payments(), index), card, steps, fault)

    @precondition(lambda self: self.services.all_orders())
    @rule(index=indexes, by_seller=st.booleans(), steps=step_counts)
    def cancel_or_refund(self, index: int, by_seller: bool, steps: int) -> None:
        orders = self.services.all_orders()
        sold = [order for order in orders if order.status == "complete"]
        if by_seller:
            self.services.refund(_pick(sold or orders, index), steps)
        else:
            self.services.cancel(_pick(orders, index), steps)

    @precondition(lambda self: self._unauthenticated())
    @rule(index=indexes, success=st.booleans())
    def authenticate(self, index: int, success: bool) -> None:
        self.services.stripe.authenticate(_pick(self._unauthenticated(), index), success=success)

    @rule(minutes=st.sampled_from([1, 16]), steps=step_counts)
    def advance_time(self, minutes: int, steps: int) -> None:
        self.services.clock.advance(timedelta(minutes=minutes))
        self.services.publish_expiries(steps)

    @precondition(lambda self: any(self.services.pending.values()))
    @rule(service=consumers, index=indexes, steps=step_counts)
    def deliver(self, service: str, index: int, steps: int) -> None:
        if events := self.services.pending[service]:
            self.services.deliver(service, _pick(events, index), steps)

    @rule()
    def deliver_and_settle(self) -> None:
        self.services.deliver_all()
        for payment in self._unsettled():
            self.services.settle(payment, ALL_STEPS)

    @precondition(lambda self: any(self.services.handled.values()))
    @rule(service=consumers, count=st.integers(1, 6), steps=step_counts)
    def redeliver(self, service: str, count: int, steps: int) -> None:
        """The last events that the service has handled, newest first."""
        for event in self.services.handled[service][: -count - 1 : -1]:
            self.services.deliver(service, event, steps)

    @precondition(lambda self: self._unsettled())
    @rule(index=indexes, steps=step_counts, fault=faults)
    def settle(self, index: int, steps: int, fault: str | None) -> None:
        self.services.settle(_pick(self._unsettled(), index), steps, fault)

    @precondition(lambda self: self.services.stripe.events)
    @rule(index=indexes, steps=step_counts)
    def deliver_webhook(self, index: int, steps: int) -> None:
        self.services.deliver_webhook(index % len(self.services.stripe.events), steps)

    @precondition(lambda self: self.services.stripe.late_requests)
    @rule(index=indexes)
    def deliver_late_request(self, index: int) -> None:
        late = self.services.stripe.late_requests
        late.pop(index % len(late))()

    @precondition(lambda self: self.services.tasks)
    @rule(index=indexes, steps=step_counts, fault=faults)
    def run_task(self, index: int, steps: int, fault: str | None) -> None:
        self.services.run(_pick(self.services.tasks, index), steps, fault)

    @precondition(lambda self: self.services.tasks)
    @rule(index=indexes)
    def kill_task(self, index: int) -> None:
        self.services.kill(_pick(self.services.tasks, index))

    @invariant()
    def invariants_hold(self) -> None:
        check_always(self.services)

    @invariant()
    def versions_never_decrease(self) -> None:
        copies = self.services.documents("orders", "tickets")
        entries = self.services.documents("expiration", "entries")
        versions = {document["_id"]: document["version"] for document in copies + entries}
        versions |= {payment.id: payment.order_version for payment in self.services.all_payments()}
        versions |= {f"{ticket.id}:n": ticket.order_n for ticket in self.services.all_tickets()}
        assert all(versions[key] >= version for key, version in self.versions.items())
        self.versions = versions

    def teardown(self) -> None:
        try:
            finish_all_work(self.services)
            check_always(self.services)
            check_agreement(self.services)
            self.services.clock.advance(timedelta(days=1))
            finish_all_work(self.services)
            check_always(self.services)
            check_agreement(self.services)
            statuses = {order.status for order in self.services.all_orders()}
            assert "created" not in statuses, "an unpaid order has not expired"
        finally:
            self.services.close()

    def _unauthenticated(self) -> list[Intent]:
        return [intent for intent in self.services.stripe.intents.values() if intent.status == "action"]

    def _unsettled(self) -> list[Payment]:
        return [payment for payment in self.services.all_payments() if payment.settle_at]


def _pick(items: Sequence[T], index: int) -> T:
    return items[-1 - index % len(items)]


SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    stateful_step_count=50,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("examples", [150, *nightly(1_000)])
def test_services_agree_after_any_order_of_events(examples):
    run(AnyOrder, settings=settings(SETTINGS, max_examples=examples))


def _apply_any_order(ticket: Ticket, order_id: str, n: int, *, live: bool) -> Ticket:
    return ticket.evolve(order_id=order_id if live else None, order_n=n)


def _cancel_in_any_status(order: Order, reason: str) -> Order:
    return order.evolve(status="cancelled", reason=reason)


def _matches_any_version(document: dict[str, Any], criteria: dict[str, Any]) -> bool:
    return matches(document, {name: value for name, value in criteria.items() if name != "version"})


@pytest.mark.parametrize(
    ("guard", "replacement"),
    [
        ("simulated_services.CLAIM", ()),
        ("simulation.matches", _matches_any_version),
        ("ticketing_common.storage.documents.is_next_version", lambda *_: True),
        ("payments.payment.models.is_next_version", lambda *_: True),
        ("tickets.handlers.apply_order", _apply_any_order),
        ("orders.handlers.cancel", _cancel_in_any_status),
        ("payments.payment.use_cases.may_have_unrecorded_intent", lambda *_: False),
    ],
)
def test_without_a_guard_a_counterexample_is_found(monkeypatch, guard, replacement):
    """The negative control: each guard is removed in turn."""
    monkeypatch.setattr(guard, replacement)
    search = settings(SETTINGS, max_examples=2_000, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises((AssertionError, ExceptionGroup)):
        run(AnyOrder, settings=search)
