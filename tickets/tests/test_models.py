"""The pure rules of a ticket."""

from itertools import permutations, product

import pytest

from ticketing_common.errors import NotYours
from ticketing_common.events import TicketCreated, TicketUpdated
from tickets.models import Ticket, TicketReserved, announce, edit, follow_order, words

TICKET = Ticket(id="t" * 24, title="Opera", price_cents=1999, user_id="seller")


def test_an_edit_changes_title_and_price_and_nothing_else():
    assert edit(TICKET, "seller", "Ballet", 50) == TICKET.evolve(title="Ballet", price_cents=50)


def test_only_the_seller_edits():
    with pytest.raises(NotYours):
        edit(TICKET, "buyer", "Ballet", 50)


def test_a_held_ticket_cannot_be_edited():
    with pytest.raises(TicketReserved):
        edit(follow_order(TICKET, "o1", 1, live=True), "seller", "Ballet", 50)


def test_an_order_holds_the_ticket_until_it_ends():
    held = follow_order(TICKET, "o1", 1, live=True)
    assert held.order_id == "o1"
    assert follow_order(held, "o1", 1, live=False).order_id is None


def test_an_older_order_does_not_free_the_ticket_of_a_newer_one():
    held = follow_order(TICKET, "o2", 2, live=True)
    assert follow_order(held, "o1", 1, live=False) == held


ORDER_1 = [("o1", 1, True), ("o1", 1, False)]
ORDER_2 = [("o2", 2, True), ("o2", 2, False)]


@pytest.mark.parametrize(
    "events", [ORDER_1, [*ORDER_1, ORDER_2[0]], [*ORDER_1, *ORDER_2], [*ORDER_1, *ORDER_2, ORDER_1[0]]]
)
def test_all_orderings_of_the_same_events_end_alike(events):
    ends = set()
    for order in permutations(events):
        ticket = TICKET
        for order_id, n, live in order:
            ticket = follow_order(ticket, order_id, n, live=live)
        ends.add(ticket)
    assert len(ends) == 1


def test_duplicates_in_any_place_change_nothing():
    for copies in product((1, 2, 3), repeat=2):
        ticket = TICKET
        for (order_id, n, live), count in zip(ORDER_1, copies, strict=True):
            for _ in range(count):
                ticket = follow_order(ticket, order_id, n, live=live)
        assert ticket == TICKET.evolve(order_n=1)


def test_the_first_version_is_announced_as_created_the_others_as_updated():
    created = announce(TICKET)
    assert type(created) is TicketCreated
    assert created.model_dump_json(by_alias=True) == (
        '{"id":"tttttttttttttttttttttttt","version":0,"title":"Opera","price":19.99,"userId":"seller"}'
    )
    updated = announce(TICKET.evolve(version=1, order_id="o1"))
    assert type(updated) is TicketUpdated
    assert updated.order_id == "o1"


def test_words_are_compared_without_case_and_punctuation():
    assert words("The  ROLLING Stones: the Tour, \ufb01nal!") == ["final", "rolling", "stones", "the", "tour"]
