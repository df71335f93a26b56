"""Rebuilds tickets from their own events."""

from ticketing_common.messaging.bus import Bus
from ticketing_common.messaging.listener import Handlers
from ticketing_common.storage.documents import Documents
from ticketing_common.storage.mongo import Database
from ticketing_common.values.events import OrderCreated, TicketCreated, TicketUpdated
from ticketing_common.values.money import to_cents
from tickets.models import Ticket, search_words


class Rebuilt:
    def __init__(self, database: Database) -> None:
        self.tickets = Documents(database, "tickets", Ticket)  # without an outbox: publishes nothing
        self.numbers: dict[str, int] = {}
        """The number `n` of each order whose ticket event has not been applied yet; ticket events do not contain it."""


async def on_order_created(event: OrderCreated, rebuilt: Rebuilt) -> None:
    rebuilt.numbers[event.id] = event.ticket.n


async def on_ticket_changed(event: TicketCreated | TicketUpdated, rebuilt: Rebuilt) -> None:
    order_id = event.order_id if isinstance(event, TicketUpdated) else None
    n = rebuilt.numbers.get(order_id or "")

    def apply(ticket: Ticket | None) -> Ticket:
        ticket = ticket or Ticket(id=event.id, title="", price_cents=0, user_id=event.user_id)
        facts = {"title": event.title, "price_cents": to_cents(event.price), "order_id": order_id}
        return ticket.evolve(**facts, order_n=n or ticket.order_n)

    await rebuilt.tickets.apply_change(event.id, event.version, apply)
    rebuilt.numbers.pop(order_id or "", None)
    this = {"_id": event.id, "version": event.version}
    await rebuilt.tickets.collection.update_one(this, {"$set": {"words": search_words(event.title)}})


HANDLERS: Handlers = {
    OrderCreated: on_order_created,
    TicketCreated: on_ticket_changed,
    TicketUpdated: on_ticket_changed,
}


def open_repository(database: Database, _bus: Bus) -> Rebuilt:
    return Rebuilt(database)
