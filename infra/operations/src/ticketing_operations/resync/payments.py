"""The events that publish the current state of a payment again."""

from payments.payment.models import Payment, event_of
from ticketing_common.values.events import Event
from ticketing_operations.resync.publish import Source


def events_of(payment: Payment) -> list[Event]:
    """The event that publishes this state, or none: most states have none."""
    event = event_of(payment)
    return [] if event is None else [event]


SOURCE = Source("payments", "payments", Payment, events_of)
