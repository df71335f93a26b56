"""Rebuilds tickets from their own events."""

from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.listener import Handlers
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import Database
from ticketing_common.values.events import OrderCreated, TicketCreated, TicketUpdated
from ticketing_common.values.money import to_cents
from tickets.models import Ticket, search_words


class RebuiltTickets:
    """The documents without outboxes, so that a rebuild publishes nothing."""

    def __init__(self, database: Database) -> None:
        self.documents = Documents(database, "tickets", Ticket)
        self.order_numbers: dict[str, int] = {}
        """`n` of each order whose reservation of the ticket is not applied yet; events of tickets lack it."""


async def on_order_created(event: OrderCreated, tickets: RebuiltTickets) -> None:
    tickets.order_numbers[event.id] = event.ticket.n


async def on_ticket_changed(event: TicketCreated | TicketUpdated, tickets: RebuiltTickets) -> None:
    order_id = event.order_id if isinstance(event, TicketUpdated) else None
    order_n = tickets.order_numbers.get(order_id or "")

    def apply(ticket: Ticket | None) -> Ticket:
        ticket = ticket or Ticket(id=event.id, title="", price_cents=0, user_id=event.user_id)
        facts = {"title": event.title, "price_cents": to_cents(event.price), "order_id": order_id}
        return ticket.evolve(**facts, order_n=order_n or ticket.order_n)

    await tickets.documents.apply_change(event.id, event.version, apply)
    tickets.order_numbers.pop(order_id or "", None)
    this = {"_id": event.id, "version": event.version}
    await tickets.documents.collection.update_one(this, {"$set": {"words": search_words(event.title)}})


HANDLERS: Handlers = {
    OrderCreated: on_order_created,
    TicketCreated: on_ticket_changed,
    TicketUpdated: on_ticket_changed,
}


def open_repository(database: Database, _bus: Bus) -> RebuiltTickets:
    return RebuiltTickets(database)
