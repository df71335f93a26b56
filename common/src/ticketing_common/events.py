"""Every event and its subject: the published contract of the services, and nothing else.

An event's JSON is the message's body. Versioned events belong to an aggregate, and each version of
an aggregate has exactly one event, so an event's id follows from what it says: the same on every
retry, which lets the server drop duplicates.
"""

from typing import ClassVar, Literal

from pydantic import AwareDatetime

from ticketing_common.money import Dollars
from ticketing_common.wire import Wire

Status = Literal["created", "awaiting:payment", "complete", "cancelled", "refunded"]
Reason = Literal["user", "expired", "payment-failed"]


class Event(Wire):
    subject: ClassVar[str]

    @property
    def event_id(self) -> str:
        raise NotImplementedError


class VersionedEvent(Event):
    """An aggregate's change: `id` is the aggregate's, `version` the one that the change made."""

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


class OrderedTicket(Wire):
    """The ticket of an order; `n`: this is the nth order of that ticket, counted from 1."""

    id: str
    n: int


class PricedTicket(OrderedTicket):
    price: Dollars


class OrderCreated(VersionedEvent):
    subject: ClassVar[str] = "order.created"
    status: Status
    user_id: str
    expires_at: AwareDatetime
    ticket: PricedTicket


class OrderCancelled(VersionedEvent):
    subject: ClassVar[str] = "order.cancelled"
    reason: Reason
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
    """Stripe gives the buyer's money back."""

    subject: ClassVar[str] = "payment.refunded"
    order_id: str


class PaymentRefundFailed(VersionedEvent):
    """Stripe or the bank will not give it back; nobody tries again."""

    subject: ClassVar[str] = "payment.refund_failed"
    order_id: str
    code: str
