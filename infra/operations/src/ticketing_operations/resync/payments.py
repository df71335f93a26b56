"""The events that publish the current state of a payment again."""

from payments.payment.models import Payment, event_of
from ticketing_common.values.events import Event
from ticketing_operations.resync.publish import Source


def events_of(payment: Payment) -> list[Event]:
    """One event or none: most states of a payment have no event."""
    event = event_of(payment)
    return [] if event is None else [event]


SOURCE = Source("payments", "payments", Payment, events_of)
