"""The events that publish the current state of a payment again."""

from payments.payment.models import Payment
from payments.payment.models import event_of as announce
from ticketing_common.values.events import Event
from ticketing_operations.resync.publish import Source


def events_of(payment: Payment) -> list[Event]:
    """The event that publishes this state, or none: most states have none."""
    event = announce(payment)
    return [] if event is None else [event]


SOURCE = Source("payments", "payments", Payment, events_of)
