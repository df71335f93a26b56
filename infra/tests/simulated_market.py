"""A market in one process: the services' own routes, handlers, repositories and sweeps, and their events.

An event is in each follower's bag from the write that causes it until a handler has taken it in. In which
order they come, how often, and what dies over them is the test's choice.
"""

from collections import defaultdict
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from simulated_stripe import Stripe
from simulation import Clock, Collection, Process, pause, simulated

import expiration.handlers
import orders.handlers
import payments.handlers
import tickets.handlers
from expiration.job_changes import JobChanges
from expiration.repository import Ledger
from orders import routes as order_routes
from orders.models import Order
from orders.repository import Orders
from orders.schemas import OrderIn
from payments.payment.models import Payment
from payments.payment.repository import Payments
from payments.payment.use_cases import attempt_payment
from payments.settlement.use_cases import settle
from payments.webhooks.repository import ProcessedEvents
from payments.webhooks.use_cases import process_event
from ticketing_common.http.sessions import User
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.storage.outbox import Outbox
from ticketing_common.values.aggregate import EarlierEventMissing
from ticketing_common.values.errors import MarketError
from ticketing_common.values.events import Event, ExpirationComplete
from tickets import routes as ticket_routes
from tickets.models import Ticket
from tickets.repository import Tickets
from tickets.schemas import TicketIn

WINDOW = timedelta(minutes=15)
SELLER = User("5e11e4", "seller@example.com")
TO_THE_END = 1_000
CLAIM: tuple[str, ...] = ("ticket.id", "ticket.n")
"""The unique index of orders.repository."""
_NO_REQUEST = cast("Any", None)
"""A route reads its request only for an Idempotency-Key."""


class Market:
    def __init__(self) -> None:
        self.clock = Clock()
        self.alarms: list[str] = []
        """What a person would be called for: none of it may happen."""
        self.stripe = Stripe()
        self.processes: list[Process] = []
        self.history: dict[str, list[Any]] = defaultdict(list)
        """By an aggregate's id: the events that its owner told of it."""
        self.waiting: dict[str, list[Event]] = defaultdict(list)
        """By service: the events that it has not taken in."""
        self.heard: dict[str, list[Event]] = defaultdict(list)
        self._simulated = ExitStack()
        self._simulated.enter_context(simulated(self.clock, lambda event, **_: self.alarms.append(event)))
        outbox, arrivals = Outbox(), Arrivals(cast("Any", None))
        databases = {
            "orders": self._database(orders=CLAIM, tickets=(), refunds=()),
            "tickets": self._database(tickets=()),
            "payments": self._database(payments=("order_id",), stripe_events=()),
            "expiration": self._database(entries=()),
        }
        self._collections = {(s, name): c for s, d in databases.items() for name, c in d.items()}
        self.orders = Orders(cast("Any", databases["orders"]), outbox, arrivals)
        self.tickets = Tickets(cast("Any", databases["tickets"]), outbox)
        self.payments = Payments(cast("Any", databases["payments"]), outbox, arrivals)
        self.processed_events = ProcessedEvents(cast("Any", databases["payments"]))
        ledger = Ledger(cast("Any", databases["expiration"]))
        self._followers: dict[str, tuple[Any, Any]] = {
            "orders": (orders.handlers.HANDLERS, self.orders),
            "tickets": (tickets.handlers.HANDLERS, self.tickets),
            "payments": (payments.handlers.HANDLERS, self.payments),
            "expiration": (
                expiration.handlers.HANDLERS,
                expiration.handlers.Expirations(ledger, JobChanges(cast("Any", None))),
            ),
        }

    def documents(self, service: str, name: str) -> list[dict[str, Any]]:
        return list(self._collections[service, name].documents.values())

    def all_tickets(self) -> list[Ticket]:
        return [
            cast("Ticket", self._load(self.tickets._tickets, d)) for d in self.documents("tickets", "tickets")
        ]

    def all_orders(self) -> list[Order]:
        return [cast("Order", self._load(self.orders._orders, d)) for d in self.documents("orders", "orders")]

    def all_payments(self) -> list[Payment]:
        found = self.documents("payments", "payments")
        return [cast("Payment", self._load(self.payments._payments, d)) for d in found]

    # What people do.

    def sell(self, price: int, steps: int) -> None:
        body = TicketIn(title=f"Seat {price}", price=price)
        self._answer(ticket_routes.list_for_sale(body, SELLER, self.tickets, _NO_REQUEST), steps)

    def edit(self, ticket: Ticket, price: int, steps: int) -> None:
        body = TicketIn(title=f"Seat {price}", price=price)
        self._answer(ticket_routes.edit_ticket(ticket.id, body, SELLER, self.tickets), steps)

    def buy(self, ticket: Ticket, buyer: User, steps: int) -> None:
        window = cast("Any", SimpleNamespace(expiration_window_seconds=WINDOW.total_seconds()))
        body = OrderIn(ticket_id=ticket.id)
        self._answer(order_routes.place_order(body, buyer, self.orders, window, _NO_REQUEST), steps)

    def cancel(self, order: Order, steps: int) -> None:
        self._answer(order_routes.cancel_order(order.id, User(order.user_id, ""), self.orders), steps)

    def refund(self, order: Order, steps: int) -> None:
        self._answer(order_routes.refund_order(order.id, SELLER, self.orders), steps)

    def pay(self, payment: Payment, card: str, steps: int, trouble: str | None = None) -> None:
        # `pay` without its patience: what it tries again, the buyer does.
        attempt = attempt_payment(self.payments, self._stripe(), payment.order_id, payment.user_id, card)
        self._answer(attempt, steps, trouble)

    # What services do.

    def deliver(self, service: str, event: Event, steps: int) -> None:
        self.start(self._handle(service, event), steps)

    def deliver_all(self) -> None:
        """Each waiting event once, to the end; what this causes waits, and so does what is early."""
        for service, events in self.waiting.items():
            for event in list(events):
                self.deliver(service, event, TO_THE_END)

    def settle(self, payment: Payment, steps: int, trouble: str | None = None) -> None:
        self.start(settle(self.payments, self._stripe(), payment), steps, trouble)

    def hear_stripe(self, which: int, steps: int) -> None:
        event = self.stripe.events[which]
        self._answer(process_event(self.processed_events, self.payments, self._stripe(), event), steps)

    def tell_expiries(self, steps: int) -> None:
        self.start(self._tell_expiries(), steps)

    def start(self, work: Coroutine[Any, Any, Any], steps: int, trouble: str | None = None) -> None:
        """Begin something, which waits for its turn after so many steps; or from there meets with trouble."""
        process = Process(work)
        self.processes.append(process)
        if not trouble or steps < TO_THE_END:
            self.go_on(process, steps)
        if trouble and process in self.processes:
            self.go_on(process, TO_THE_END, trouble)

    def go_on(self, process: Process, steps: int, trouble: str | None = None) -> None:
        """Give the process that many turns, in which the network has this trouble."""
        for _ in range(steps):
            if not process.step(trouble):
                self.processes.remove(process)
                return

    def kill(self, process: Process) -> None:
        self.processes.remove(process)
        process.kill()

    def close(self) -> None:
        for process in list(self.processes):
            self.kill(process)
        self._simulated.close()

    def _database(self, **collections: tuple[str, ...]) -> dict[str, Collection]:
        return {name: Collection(unique, self._publish) for name, unique in collections.items()}

    def _publish(self, document: dict[str, Any]) -> None:
        kinds = {kind.subject: kind for handlers, _ in self._followers.values() for kind in handlers}
        for told in document.get("outbox", []):
            event = kinds[told["subject"]].model_validate_json(told["data"])
            self.history[document["_id"]].append(event)
            self._bag(event)

    def _bag(self, event: Event) -> None:
        for service, (handlers, _) in self._followers.items():
            if type(event) in handlers:
                self.waiting[service].append(event)

    async def _handle(self, service: str, event: Event) -> None:
        handlers, repository = self._followers[service]
        try:
            await handlers[type(event)](event, repository)
        except EarlierEventMissing:
            assert event not in self.heard[service], "an event that was taken in is early"
            return
        if event in self.waiting[service]:  # it may have been in two hands
            self.waiting[service].remove(event)
        self.heard[service].append(event)

    async def _tell_expiries(self) -> None:
        """As expiration.jobs.publish_due does: told first, marked later."""
        for entry in self.documents("expiration", "entries"):
            if entry["settled_at"] is None and entry["expires_at"] <= self.clock.now():
                await pause()
                self._bag(ExpirationComplete(order_id=entry["_id"]))
                await pause()
                if entry["settled_at"] is None:
                    entry["settled_at"] = self.clock.now()

    def _answer(self, request: Coroutine[Any, Any, Any], steps: int, trouble: str | None = None) -> None:
        async def answered() -> None:
            with suppress(MarketError):  # a refusal is an answer
                await request

        self.start(answered(), steps, trouble)

    def _stripe(self) -> Any:
        return self.stripe

    def _load(self, documents: Any, document: dict[str, Any]) -> Any:
        return documents._load(dict(document))
