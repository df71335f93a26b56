"""Every event, its subject and its publisher: the published contract of the services (docs/asyncapi.yaml).

An event's JSON is the body of the message. A versioned event belongs to an aggregate, and each version of an
aggregate has exactly one event. So the event's id follows from its content: it is the same on every retry,
and JetStream drops duplicates by it.
"""

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from ticketing_common.values.money import Dollars
from ticketing_common.values.wire import WireModel

# `awaiting:payment` is valid for clients of the original system; nothing sets it.
OrderStatus = Literal["created", "awaiting:payment", "complete", "cancelled", "refunded"]
CancellationReason = Literal["user", "expired", "payment-failed"]
Service = Literal["tickets", "orders", "payments", "expiration"]


class Event(WireModel):
    subject: ClassVar[str]
    publisher: ClassVar[Service]
    consumers: ClassVar[tuple[Service, ...]]
    """The services with a handler for this event."""

    @property
    def event_id(self) -> str:
        raise NotImplementedError


class VersionedEvent(Event):
    """A change of an aggregate: `id` is the aggregate's, `version` the one after the change."""

    id: str
    version: int

    @property
    def event_id(self) -> str:
        return f"{self.subject}:{self.id}:{self.version}"


class TicketCreated(VersionedEvent):
    """A seller has listed a ticket. Carries the whole state of the ticket."""

    subject: ClassVar[str] = "ticket.created"
    publisher: ClassVar[Service] = "tickets"
    consumers: ClassVar[tuple[Service, ...]] = ("orders",)
    title: str
    price: Dollars
    user_id: str


class TicketUpdated(TicketCreated):
    """A ticket was edited, reserved, or is free again. Carries the whole state of the ticket."""

    subject: ClassVar[str] = "ticket.updated"
    order_id: str | None = None


class OrderedTicket(WireModel):
    """The ticket of an order; `n`: this is the nth order of that ticket, counted from 1 (a fencing token)."""

    id: str
    n: int


class PricedTicket(OrderedTicket):
    price: Dollars


class OrderCreated(VersionedEvent):
    """An order reserves a ticket until it expires."""

    subject: ClassVar[str] = "order.created"
    publisher: ClassVar[Service] = "orders"
    consumers: ClassVar[tuple[Service, ...]] = ("tickets", "payments", "expiration")
    status: OrderStatus
    user_id: str
    expires_at: AwareDatetime
    ticket: PricedTicket


class OrderCancelled(VersionedEvent):
    """An order was cancelled before it was paid; its ticket is free again."""

    subject: ClassVar[str] = "order.cancelled"
    publisher: ClassVar[Service] = "orders"
    consumers: ClassVar[tuple[Service, ...]] = ("tickets", "payments", "expiration")
    reason: CancellationReason
    ticket: OrderedTicket


class OrderCompleted(VersionedEvent):
    """An order is paid; its ticket is sold. The payment is captured now."""

    subject: ClassVar[str] = "order.completed"
    publisher: ClassVar[Service] = "orders"
    consumers: ClassVar[tuple[Service, ...]] = ("tickets", "payments", "expiration")
    user_id: str
    ticket: OrderedTicket


class OrderRefunded(VersionedEvent):
    """The seller refunds an order; its ticket is free again. The money is returned now."""

    subject: ClassVar[str] = "order.refunded"
    publisher: ClassVar[Service] = "orders"
    consumers: ClassVar[tuple[Service, ...]] = ("tickets", "payments")
    user_id: str
    ticket: OrderedTicket


class ExpirationComplete(Event):
    """The time of an order is over; the orders service cancels it if it is not paid."""

    subject: ClassVar[str] = "expiration.complete"
    publisher: ClassVar[Service] = "expiration"
    consumers: ClassVar[tuple[Service, ...]] = ("orders",)
    order_id: str

    @property
    def event_id(self) -> str:
        return f"{self.subject}:{self.order_id}"


class PaymentCreated(Event):
    """The amount of an order is authorised at Stripe, not captured yet."""

    subject: ClassVar[str] = "payment.created"
    publisher: ClassVar[Service] = "payments"
    consumers: ClassVar[tuple[Service, ...]] = ("orders",)
    id: str
    order_id: str
    stripe_id: str

    @property
    def event_id(self) -> str:
        return f"{self.subject}:{self.id}"


class PaymentFailed(Event):
    """The bank declined; the order is cancelled. `code` is Stripe's."""

    subject: ClassVar[str] = "payment.failed"
    publisher: ClassVar[Service] = "payments"
    consumers: ClassVar[tuple[Service, ...]] = ("orders",)
    order_id: str
    code: str

    @property
    def event_id(self) -> str:
        return f"{self.subject}:{self.order_id}"


class PaymentRefunded(VersionedEvent):
    """Stripe returns the buyer's money."""

    subject: ClassVar[str] = "payment.refunded"
    publisher: ClassVar[Service] = "payments"
    consumers: ClassVar[tuple[Service, ...]] = ("orders",)
    order_id: str


class PaymentRefundFailed(VersionedEvent):
    """Stripe or the bank refuses to return the money; nothing retries it."""

    subject: ClassVar[str] = "payment.refund_failed"
    publisher: ClassVar[Service] = "payments"
    consumers: ClassVar[tuple[Service, ...]] = ("orders",)
    order_id: str
    code: str


EVENTS: tuple[type[Event], ...] = (
    TicketCreated,
    TicketUpdated,
    OrderCreated,
    OrderCancelled,
    OrderCompleted,
    OrderRefunded,
    ExpirationComplete,
    PaymentCreated,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundFailed,
)
