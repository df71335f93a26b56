"""However events are interleaved, repeated, delayed and lost to crashes, the services end in agreement."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as run
from simulated_agreement import check_agreement, check_always, settle_down
from simulated_market import TO_THE_END, Market
from simulated_stripe import CARDS, TROUBLES
from simulation import fits

from orders.models import Order
from ticketing_common.http.sessions import User
from tickets.models import Ticket

BUYERS = [User("b0b", "bob@example.com"), User("a11ce", "alice@example.com")]

buyers = st.sampled_from(BUYERS)
services = st.sampled_from(["orders", "tickets", "payments", "expiration"])
cards = st.sampled_from(CARDS)
troubles = st.one_of(st.none(), st.sampled_from(TROUBLES))
which = st.integers(0, 5)
"""Of several: counted from the newest."""
prices = st.integers(1, 9)
how_far = st.one_of(st.just(TO_THE_END), st.integers(1, 9))
"""How many of its steps somebody takes before it is somebody else's turn."""


class AnyOrder(RuleBasedStateMachine):
    """Two tickets, two buyers, and everything that may come between what they do and what comes of it."""

    def __init__(self) -> None:
        super().__init__()
        self.market = Market()
        self.seen: dict[str, int] = {}

    @initialize(then=st.sampled_from(["listed", "sold", "refunded"]))
    def begin(self, then: str) -> None:
        """One ticket is for sale, the other further, lest most runs end before anything comes of them."""
        for price in (20, 30):
            self.market.sell(price, TO_THE_END)
        if then != "listed":
            self.buy_and_pay(which=0, buyer=BUYERS[0], card="good", steps=TO_THE_END, trouble=None)
            for _ in range(3):
                self.catch_up()
        if then == "refunded":
            self.take_back(which=0, by_seller=True, steps=TO_THE_END)
            self.catch_up()

    @rule(which=which, price=prices, steps=how_far)
    def edit(self, which: int, price: int, steps: int) -> None:
        self.market.edit(_pick(self.market.all_tickets(), which), price, steps)

    @rule(which=which, buyer=buyers, steps=how_far, rival=st.booleans())
    def buy(self, which: int, buyer: User, steps: int, rival: bool) -> None:
        ticket = _pick(self.market.all_tickets(), which)
        self.market.buy(ticket, buyer, steps)
        if rival:
            self.market.buy(ticket, BUYERS[0], TO_THE_END)

    @rule(which=which, buyer=buyers, card=cards, steps=how_far, trouble=troubles)
    def buy_and_pay(self, which: int, buyer: User, card: str, steps: int, trouble: str | None) -> None:
        self.market.deliver_all()
        self.market.buy(_pick(self.market.all_tickets(), which), buyer, TO_THE_END)
        self.market.deliver_all()
        if payments := self.market.all_payments():
            self.market.pay(payments[-1], card, steps, trouble)

    @precondition(lambda self: self.market.all_payments())
    @rule(which=which, card=cards, steps=how_far, trouble=troubles)
    def pay(self, which: int, card: str, steps: int, trouble: str | None) -> None:
        self.market.pay(_pick(self.market.all_payments(), which), card, steps, trouble)

    @precondition(lambda self: self.market.all_orders())
    @rule(which=which, by_seller=st.booleans(), steps=how_far)
    def take_back(self, which: int, by_seller: bool, steps: int) -> None:
        orders = self.market.all_orders()
        sold = [order for order in orders if order.status == "complete"]
        if by_seller:
            self.market.refund(_pick(sold or orders, which), steps)
        else:
            self.market.cancel(_pick(orders, which), steps)

    @precondition(lambda self: self._at_the_bank())
    @rule(which=which, success=st.booleans())
    def authenticate(self, which: int, success: bool) -> None:
        self.market.stripe.authenticate(_pick(self._at_the_bank(), which), success=success)

    @rule(minutes=st.sampled_from([1, 16]), steps=how_far)
    def time_passes(self, minutes: int, steps: int) -> None:
        self.market.clock.pass_by(timedelta(minutes=minutes))
        self.market.tell_expiries(steps)

    @precondition(lambda self: any(self.market.waiting.values()))
    @rule(service=services, which=which, steps=how_far)
    def deliver(self, service: str, which: int, steps: int) -> None:
        if events := self.market.waiting[service]:
            self.market.deliver(service, _pick(events, which), steps)

    @rule()
    def catch_up(self) -> None:
        self.market.deliver_all()
        for payment in self._open():
            self.market.settle(payment, TO_THE_END)

    @precondition(lambda self: any(self.market.heard.values()))
    @rule(service=services, how_many=st.integers(1, 6), steps=how_far)
    def deliver_again(self, service: str, how_many: int, steps: int) -> None:
        """The last that a service has heard, newest first."""
        for event in self.market.heard[service][: -how_many - 1 : -1]:
            self.market.deliver(service, event, steps)

    @precondition(lambda self: self._open())
    @rule(which=which, steps=how_far, trouble=troubles)
    def settle(self, which: int, steps: int, trouble: str | None) -> None:
        self.market.settle(_pick(self._open(), which), steps, trouble)

    @precondition(lambda self: self.market.stripe.events)
    @rule(which=which, steps=how_far)
    def hear_stripe(self, which: int, steps: int) -> None:
        self.market.hear_stripe(which % len(self.market.stripe.events), steps)

    @precondition(lambda self: self.market.stripe.held_up)
    @rule(which=which)
    def arrive_late(self, which: int) -> None:
        held_up = self.market.stripe.held_up
        held_up.pop(which % len(held_up))()

    @precondition(lambda self: self.market.processes)
    @rule(which=which, steps=how_far, trouble=troubles)
    def go_on(self, which: int, steps: int, trouble: str | None) -> None:
        self.market.go_on(_pick(self.market.processes, which), steps, trouble)

    @precondition(lambda self: self.market.processes)
    @rule(which=which)
    def die(self, which: int) -> None:
        self.market.kill(_pick(self.market.processes, which))

    @invariant()
    def holds(self) -> None:
        check_always(self.market)

    @invariant()
    def nothing_goes_backwards(self) -> None:
        copies = self.market.documents("orders", "tickets") + self.market.documents("expiration", "entries")
        now = {copy["_id"]: copy["version"] for copy in copies}
        now |= {payment.id: payment.order_version for payment in self.market.all_payments()}
        now |= {f"{ticket.id}:n": ticket.order_n for ticket in self.market.all_tickets()}
        assert all(now[each] >= version for each, version in self.seen.items())
        self.seen = now

    def teardown(self) -> None:
        try:
            settle_down(self.market)
            check_always(self.market)
            check_agreement(self.market)
            self.market.clock.pass_by(timedelta(days=1))
            settle_down(self.market)
            check_always(self.market)
            check_agreement(self.market)
            assert all(order.status != "created" for order in self.market.all_orders()), "it never expired"
        finally:
            self.market.close()

    def _at_the_bank(self) -> list:
        return [intent for intent in self.market.stripe.intents.values() if intent.status == "action"]

    def _open(self) -> list:
        return [payment for payment in self.market.all_payments() if payment.settle_at]


def _pick(among: list, which: int):
    return among[-1 - which % len(among)]


SETTINGS = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=150,
    stateful_step_count=50,
    suppress_health_check=list(HealthCheck),
)


def test_any_order_of_events_leaves_every_service_in_agreement():
    run(AnyOrder, settings=SETTINGS)


def _apply_whatever_comes(ticket: Ticket, order_id: str, n: int, *, live: bool) -> Ticket:
    return ticket.evolve(order_id=order_id if live else None, order_n=n)


def _cancel_whatever_it_is(order: Order, reason: str) -> Order:
    return order.evolve(status="cancelled", reason=reason)


def _fits_whatever_the_version(document: dict, criteria: dict) -> bool:
    return fits(document, {name: value for name, value in criteria.items() if name != "version"})


@pytest.mark.parametrize(
    ("guard", "instead"),
    [
        ("simulated_market.CLAIM", ()),
        ("simulation.fits", _fits_whatever_the_version),
        ("ticketing_common.storage.documents.is_next_version", lambda *_: True),
        ("payments.payment.models.is_next_version", lambda *_: True),
        ("tickets.handlers.apply_order", _apply_whatever_comes),
        ("orders.handlers.cancel", _cancel_whatever_it_is),
        ("payments.payment.use_cases.may_have_unrecorded_intent", lambda *_: False),
    ],
)
def test_without_a_guard_a_counter_example_is_found(monkeypatch, guard, instead):
    """The negative control: each promise's guard is switched off in turn."""
    monkeypatch.setattr(guard, instead)
    hunt = settings(SETTINGS, max_examples=2_000, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises((AssertionError, ExceptionGroup)):
        run(AnyOrder, settings=hunt)
