"""The request and response bodies of the tickets service."""

import json

import pytest

from ticketing_common.values.ids import new_id
from tickets.models import Ticket
from tickets.schemas import TicketOut, as_json


@pytest.mark.parametrize("cents", [50, 1999, 2000, 110, 99_999_999])
@pytest.mark.parametrize("order_id", [None, "6b0799256441ccfb93e6e1cb"])
def test_ticket_has_the_same_json_alone_and_in_a_list(cents, order_id):
    ticket = Ticket(
        id=new_id(),
        version=3,
        title='"Ünïcode" \\ \u2028 🎭',
        price_cents=cents,
        user_id=new_id(),
        order_id=order_id,
        order_n=2,
    )
    alone = TicketOut.of(ticket).model_dump_json(by_alias=True)
    (listed,) = json.loads(as_json([ticket]))
    assert listed == json.loads(alone)
    assert list(listed) == list(json.loads(alone))
