"""Rebuilds a restored database from the tickets' own events, while the service is stopped: docs/backups.md.

MONGO_URI=... NATS_URL=... python -m tickets.rebuild
"""

import asyncio

from ticketing_common.events import OrderCreated, TicketCreated, TicketUpdated
from ticketing_common.listener import Handlers
from ticketing_common.money import to_cents
from ticketing_common.mongo import Database, Documents
from ticketing_common.rebuild import rebuild
from tickets.models import Ticket, search_words


class Rebuilt:
    def __init__(self, database: Database) -> None:
        self.tickets = Documents(database, "tickets", Ticket)  # without a relay: nothing is announced
        self.numbers: dict[str, int] = {}
        """Of the orders that hold no ticket yet; the tickets' events do not tell them."""


async def on_order_created(event: OrderCreated, rebuilt: Rebuilt) -> None:
    rebuilt.numbers[event.id] = event.ticket.n


async def on_ticket_changed(event: TicketCreated | TicketUpdated, rebuilt: Rebuilt) -> None:
    order_id = event.order_id if isinstance(event, TicketUpdated) else None
    n = rebuilt.numbers.get(order_id or "")

    def take_in(ticket: Ticket | None) -> Ticket:
        ticket = ticket or Ticket(id=event.id, title="", price_cents=0, user_id=event.user_id)
        facts = {"title": event.title, "price_cents": to_cents(event.price), "order_id": order_id}
        return ticket.evolve(**facts, order_n=n or ticket.order_n)

    await rebuilt.tickets.follow(event.id, event.version, take_in)  # may be early, and come again
    rebuilt.numbers.pop(order_id or "", None)
    this = {"_id": event.id, "version": event.version}
    await rebuilt.tickets.collection.update_one(this, {"$set": {"words": search_words(event.title)}})


HANDLERS: Handlers = {
    OrderCreated: on_order_created,
    TicketCreated: on_ticket_changed,
    TicketUpdated: on_ticket_changed,
}


async def main() -> int:
    return await rebuild("tickets", HANDLERS, lambda database, _: Rebuilt(database))


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
