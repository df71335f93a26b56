"""A ticket, and how it changes: by its seller's edits, and by the orders that come and go."""

import re
import unicodedata
from dataclasses import dataclass

from ticketing_common.aggregate import Aggregate
from ticketing_common.errors import MarketError, NotFound, NotYours
from ticketing_common.events import TicketCreated, TicketUpdated
from ticketing_common.money import to_dollars


class NoSuchTicket(NotFound):
    message = "There is no such ticket"


class TicketReserved(MarketError):
    message = "Ticket is reserved and cannot be edited"


@dataclass(frozen=True, kw_only=True)
class Ticket(Aggregate):
    title: str
    price_cents: int
    user_id: str
    """The seller."""
    order_id: str | None = None
    """The order that holds it, paid or not; None: for sale."""
    order_n: int = 0
    """The number of the latest order heard of; see follow_order."""


def edit(ticket: Ticket, user_id: str, title: str, price_cents: int) -> Ticket:
    """The ticket with a new title and price. Raises NotYours, TicketReserved."""
    if ticket.user_id != user_id:
        raise NotYours
    if ticket.order_id is not None:
        raise TicketReserved
    return ticket.evolve(title=title, price_cents=price_cents)


def follow_order(ticket: Ticket, order_id: str, n: int, *, live: bool) -> Ticket:
    """The ticket as its nth order leaves it: held while the order is live, for sale once it is not.

    Events may come twice, late or out of order. The highest n wins, and an order that has ended beats the
    same order alive, for it cannot come back: so every sequence of the same events ends in the same ticket.
    """
    heard = (ticket.order_n, ticket.order_id is None)
    if (n, not live) <= heard:
        return ticket
    return ticket.evolve(order_id=order_id if live else None, order_n=n)


def announce(ticket: Ticket) -> TicketCreated:
    """The event that tells what the ticket has become."""
    facts = {
        "id": ticket.id,
        "version": ticket.version,
        "title": ticket.title,
        "price": to_dollars(ticket.price_cents),
        "user_id": ticket.user_id,
    }
    return TicketUpdated(**facts, order_id=ticket.order_id) if ticket.version else TicketCreated(**facts)


def words(text: str) -> list[str]:
    """The distinct words of a title or a query, in the form in which they are compared."""
    return sorted(set(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())))
