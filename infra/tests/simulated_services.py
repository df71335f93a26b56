"""All services in one process: their routes, handlers and repositories, and the events between them.

An event is pending for each of its consumers from the write that stores it until a handler has handled it. A
test decides when and how often it is delivered, and where a handler dies.
"""

from collections import defaultdict
from collections.abc import Coroutine
from contextlib import ExitStack, suppress
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

from simulated_stripe import SimulatedStripe
from simulation import Clock, Collection, Task, patched_services, pause

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
ALL_STEPS = 1_000
CLAIM: tuple[str, ...] = ("ticket.id", "ticket.n")
"""The unique index of orders.repository."""
_NO_REQUEST = cast("Any", None)
"""A route reads its request only for an Idempotency-Key."""


class SimulatedServices:
    def __init__(self) -> None:
        self.clock = Clock()
        self.disagreements: list[str] = []
        """What payments reports for an operator."""
        self.stripe = SimulatedStripe()
        self.tasks: list[Task] = []
        self.published: dict[str, list[Any]] = defaultdict(list)
        """The events of each aggregate, by its id."""
        self.pending: dict[str, list[Event]] = defaultdict(list)
        """The events that each service has not handled."""
        self.handled: dict[str, list[Event]] = defaultdict(list)
        """The events that each service has handled."""
        self._patches = ExitStack()
        self._patches.enter_context(
            patched_services(self.clock, lambda event, **_: self.disagreements.append(event))
        )
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
        self._consumers: dict[str, tuple[Any, Any]] = {
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

    # Requests.

    def sell(self, price: int, steps: int) -> None:
        body = TicketIn(title=f"Seat {price}", price=price)
        self._request(ticket_routes.list_for_sale(body, SELLER, self.tickets, _NO_REQUEST), steps)

    def edit(self, ticket: Ticket, price: int, steps: int) -> None:
        body = TicketIn(title=f"Seat {price}", price=price)
        self._request(ticket_routes.edit_ticket(ticket.id, body, SELLER, self.tickets), steps)

    def buy(self, ticket: Ticket, buyer: User, steps: int) -> None:
        window = cast("Any", SimpleNamespace(expiration_window_seconds=WINDOW.total_seconds()))
        body = OrderIn(ticket_id=ticket.id)
        self._request(order_routes.place_order(body, buyer, self.orders, window, _NO_REQUEST), steps)

    def cancel(self, order: Order, steps: int) -> None:
        self._request(order_routes.cancel_order(order.id, User(order.user_id, ""), self.orders), steps)

    def refund(self, order: Order, steps: int) -> None:
        self._request(order_routes.refund_order(order.id, SELLER, self.orders), steps)

    def pay(self, payment: Payment, card: str, steps: int, fault: str | None = None) -> None:
        # Not `pay`, which repeats the attempt: here the test does.
        attempt = attempt_payment(self.payments, self._stripe(), payment.order_id, payment.user_id, card)
        self._request(attempt, steps, fault)

    # Events and background jobs.

    def deliver(self, service: str, event: Event, steps: int) -> None:
        self.start(self._handle(service, event), steps)

    def deliver_all(self) -> None:
        """Delivers each pending event once. Events that this causes stay pending, and so do early ones."""
        for service, events in self.pending.items():
            for event in list(events):
                self.deliver(service, event, ALL_STEPS)

    def settle(self, payment: Payment, steps: int, fault: str | None = None) -> None:
        self.start(settle(self.payments, self._stripe(), payment), steps, fault)

    def deliver_webhook(self, index: int, steps: int) -> None:
        event = self.stripe.events[index]
        self._request(process_event(self.processed_events, self.payments, self._stripe(), event), steps)

    def publish_expiries(self, steps: int) -> None:
        self.start(self._publish_expiries(), steps)

    def start(self, work: Coroutine[Any, Any, Any], steps: int, fault: str | None = None) -> None:
        """Starts a task and runs this many steps; with a fault, then the others too, which have the fault."""
        task = Task(work)
        self.tasks.append(task)
        if not fault or steps < ALL_STEPS:
            self.run(task, steps)
        if fault and task in self.tasks:
            self.run(task, ALL_STEPS, fault)

    def run(self, task: Task, steps: int, fault: str | None = None) -> None:
        """Runs this many steps of the task, or all until its end. The network has the fault meanwhile."""
        for _ in range(steps):
            if not task.step(fault):
                self.tasks.remove(task)
                return

    def kill(self, task: Task) -> None:
        self.tasks.remove(task)
        task.kill()

    def close(self) -> None:
        for task in list(self.tasks):
            self.kill(task)
        self._patches.close()

    def _database(self, **collections: tuple[str, ...]) -> dict[str, Collection]:
        return {name: Collection(unique, self._publish) for name, unique in collections.items()}

    def _publish(self, document: dict[str, Any]) -> None:
        kinds = {kind.subject: kind for handlers, _ in self._consumers.values() for kind in handlers}
        for entry in document.get("outbox", []):
            event = kinds[entry["subject"]].model_validate_json(entry["data"])
            self.published[document["_id"]].append(event)
            self._add_pending(event)

    def _add_pending(self, event: Event) -> None:
        for service, (handlers, _) in self._consumers.items():
            if type(event) in handlers:
                self.pending[service].append(event)

    async def _handle(self, service: str, event: Event) -> None:
        handlers, repository = self._consumers[service]
        try:
            await handlers[type(event)](event, repository)
        except EarlierEventMissing:
            assert event not in self.handled[service], "an earlier event of a handled one is missing"
            return
        if event in self.pending[service]:  # another task may have handled it meanwhile
            self.pending[service].remove(event)
        self.handled[service].append(event)

    async def _publish_expiries(self) -> None:
        """Like expiration.jobs.publish_due: publishes first, and marks the entry afterwards."""
        for entry in self.documents("expiration", "entries"):
            if entry["settled_at"] is None and entry["expires_at"] <= self.clock.now():
                await pause()
                self._add_pending(ExpirationComplete(order_id=entry["_id"]))
                await pause()
                if entry["settled_at"] is None:
                    entry["settled_at"] = self.clock.now()

    def _request(self, request: Coroutine[Any, Any, Any], steps: int, fault: str | None = None) -> None:
        async def respond() -> None:
            with suppress(MarketError):  # an error response
                await request

        self.start(respond(), steps, fault)

    def _stripe(self) -> Any:
        return self.stripe

    def _load(self, documents: Any, document: dict[str, Any]) -> Any:
        return documents._load(dict(document))
