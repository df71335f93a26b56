"""The events that publish the current state of a ticket again."""

from ticketing_operations.resync.publish import Source
from tickets.models import Ticket, event_of

SOURCE = Source("tickets", "tickets", Ticket, lambda ticket: [event_of(ticket)])
