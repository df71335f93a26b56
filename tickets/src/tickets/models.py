"""Tickets, and the rules by which sellers and orders change them."""

import re
import unicodedata
from dataclasses import dataclass

from ticketing_common.values.aggregate import Aggregate
from ticketing_common.values.errors import MarketError, NotYours
from ticketing_common.values.events import TicketCreated, TicketUpdated
from ticketing_common.values.money import to_dollars


class TicketReserved(MarketError):
    message = "Ticket is reserved and cannot be edited"


@dataclass(frozen=True, kw_only=True)
class Ticket(Aggregate):
    title: str
    price_cents: int
    user_id: str
    """The seller."""
    order_id: str | None = None
    """The order that reserved or bought the ticket; None while the ticket is for sale."""
    order_n: int = 0
    """The number of the ticket's latest order; see apply_order."""


def edit(ticket: Ticket, user_id: str, title: str, price_cents: int) -> Ticket:
    """Change title and price. Raises NotYours and TicketReserved."""
    if ticket.user_id != user_id:
        raise NotYours
    if ticket.order_id is not None:
        raise TicketReserved
    return ticket.evolve(title=title, price_cents=price_cents)


def apply_order(ticket: Ticket, order_id: str, n: int, *, live: bool) -> Ticket:
    """Reserve the ticket for its nth order while that is live, free it when that has ended.

    Events may be duplicated, late or out of order. The highest n wins, and the end of an order wins over its
    start because it is final. So the same events lead to the same ticket in every order of arrival.
    """
    applied = (ticket.order_n, ticket.order_id is None)
    if (n, not live) <= applied:
        return ticket
    return ticket.evolve(order_id=order_id if live else None, order_n=n)


def event_of(ticket: Ticket) -> TicketCreated:
    """The event that describes the ticket's latest change."""
    facts = {
        "id": ticket.id,
        "version": ticket.version,
        "title": ticket.title,
        "price": to_dollars(ticket.price_cents),
        "user_id": ticket.user_id,
    }
    return TicketUpdated(**facts, order_id=ticket.order_id) if ticket.version else TicketCreated(**facts)


def search_words(text: str) -> list[str]:
    """The distinct words of a title or a query, normalized for comparison."""
    return sorted(set(re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())))
