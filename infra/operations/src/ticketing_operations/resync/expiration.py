"""The events that publish the expiry of overdue orders again."""

from expiration.models import Entry
from ticketing_common.values.clock import now
from ticketing_common.values.events import Event, ExpirationComplete
from ticketing_operations.resync.publish import Source


def events_of(entry: Entry) -> list[Event]:
    """The expiry of a pending entry that is due. The orders service ignores it if the order is decided."""
    is_due = entry.version == 0 and entry.expires_at <= now()
    return [ExpirationComplete(order_id=entry.id)] if is_due else []


SOURCE = Source("expiration", "entries", Entry, events_of)
