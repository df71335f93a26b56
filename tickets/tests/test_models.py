"""The rules of tickets."""

from itertools import permutations, product

import pytest

from ticketing_common.values.errors import NotYours
from ticketing_common.values.events import TicketCreated, TicketUpdated
from tickets.models import Ticket, TicketReserved, apply_order, edit, event_of, search_words

TICKET = Ticket(id="t" * 24, title="Opera", price_cents=1999, user_id="seller")


def test_edit_changes_only_title_and_price():
    assert edit(TICKET, "seller", "Ballet", 50) == TICKET.evolve(title="Ballet", price_cents=50)


def test_edit_by_another_user_is_rejected():
    with pytest.raises(NotYours):
        edit(TICKET, "buyer", "Ballet", 50)


def test_edit_of_a_reserved_ticket_is_rejected():
    with pytest.raises(TicketReserved):
        edit(apply_order(TICKET, "o1", 1, live=True), "seller", "Ballet", 50)


def test_order_reserves_the_ticket_until_it_ends():
    reserved = apply_order(TICKET, "o1", 1, live=True)
    assert reserved.order_id == "o1"
    assert apply_order(reserved, "o1", 1, live=False).order_id is None


def test_end_of_an_earlier_order_does_not_free_a_ticket_reserved_by_a_later_one():
    reserved = apply_order(TICKET, "o2", 2, live=True)
    assert apply_order(reserved, "o1", 1, live=False) == reserved


ORDER_1 = [("o1", 1, True), ("o1", 1, False)]
ORDER_2 = [("o2", 2, True), ("o2", 2, False)]


@pytest.mark.parametrize(
    "events", [ORDER_1, [*ORDER_1, ORDER_2[0]], [*ORDER_1, *ORDER_2], [*ORDER_1, *ORDER_2, ORDER_1[0]]]
)
def test_same_events_lead_to_the_same_ticket_in_every_order_of_arrival(events):
    ends = set()
    for order in permutations(events):
        ticket = TICKET
        for order_id, n, live in order:
            ticket = apply_order(ticket, order_id, n, live=live)
        ends.add(ticket)
    assert len(ends) == 1


def test_duplicate_events_change_nothing():
    for copies in product((1, 2, 3), repeat=2):
        ticket = TICKET
        for (order_id, n, live), count in zip(ORDER_1, copies, strict=True):
            for _ in range(count):
                ticket = apply_order(ticket, order_id, n, live=live)
        assert ticket == TICKET.evolve(order_n=1)


def test_first_version_is_published_as_created_and_later_ones_as_updated():
    created = event_of(TICKET)
    assert type(created) is TicketCreated
    assert created.model_dump_json(by_alias=True) == (
        '{"id":"tttttttttttttttttttttttt","version":0,"title":"Opera","price":19.99,"userId":"seller"}'
    )
    updated = event_of(TICKET.evolve(version=1, order_id="o1"))
    assert type(updated) is TicketUpdated
    assert updated.order_id == "o1"


def test_search_words_ignore_case_and_punctuation():
    assert search_words("The  ROLLING Stones: the Tour, \ufb01nal!") == [
        "final",
        "rolling",
        "stones",
        "the",
        "tour",
    ]
