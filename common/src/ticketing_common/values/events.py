"""Every event, its subject and its publisher: the published contract of the services (docs/asyncapi.yaml).

An event's JSON is the body of the message. A versioned event belongs to an aggregate, and each version of an
aggregate has exactly one event. So the event's id follows from its content: it is the same on every retry,
and JetStream drops duplicates by it.
"""

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from ticketing_common.values.money import Dollars
from ticketing_common.values.wire import WireModel

OrderStatus = Literal["created", "awaiting:payment", "complete", "cancelled", "refunded"]
CancellationReason = Literal["user", "expired", "payment-failed"]


class Event(WireModel):
    subject: ClassVar[str]

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
    subject: ClassVar[str] = "ticket.created"
    title: str
    price: Dollars
    user_id: str


class TicketUpdated(TicketCreated):
    subject: ClassVar[str] = "ticket.updated"
    order_id: str | None = None


class OrderedTicket(WireModel):
    """The ticket of an order; `n`: this is the nth order of that ticket, counted from 1 (a fencing token)."""

    id: str
    n: int


class PricedTicket(OrderedTicket):
    price: Dollars


class OrderCreated(VersionedEvent):
    subject: ClassVar[str] = "order.created"
    status: OrderStatus
    user_id: str
    expires_at: AwareDatetime
    ticket: PricedTicket


class OrderCancelled(VersionedEvent):
    subject: ClassVar[str] = "order.cancelled"
    reason: CancellationReason
    ticket: OrderedTicket


class OrderCompleted(VersionedEvent):
    subject: ClassVar[str] = "order.completed"
    user_id: str
    ticket: OrderedTicket


class OrderRefunded(VersionedEvent):
    subject: ClassVar[str] = "order.refunded"
    user_id: str
    ticket: OrderedTicket


class ExpirationComplete(Event):
    subject: ClassVar[str] = "expiration.complete"
    order_id: str

    @property
    def event_id(self) -> str:
        return f"{self.subject}:{self.order_id}"


class PaymentCreated(Event):
    subject: ClassVar[str] = "payment.created"
    id: str
    order_id: str
    stripe_id: str

    @property
    def event_id(self) -> str:
        return f"{self.subject}:{self.id}"


class PaymentFailed(Event):
    subject: ClassVar[str] = "payment.failed"
    order_id: str
    code: str

    @property
    def event_id(self) -> str:
        return f"{self.subject}:{self.order_id}"


class PaymentRefunded(VersionedEvent):
    """Stripe returns the buyer's money."""

    subject: ClassVar[str] = "payment.refunded"
    order_id: str


class PaymentRefundFailed(VersionedEvent):
    """Stripe or the bank refuses to return the money; nothing retries it."""

    subject: ClassVar[str] = "payment.refund_failed"
    order_id: str
    code: str
