"""What no guard can be switched off for: the checker sees it in made-up evidence."""

from dataclasses import replace

import pytest

from ticketing_chaos.checks import (
    Violation,
    answers_are_right,
    money_agrees,
    nothing_is_left_over,
    time_does_not_go_back,
)
from ticketing_chaos.evidence import Evidence, Intent
from ticketing_chaos.history import Call, History
from ticketing_chaos.story import tell

NOTHING = Evidence(
    history=History(), accounts={}, tickets={}, orders={}, copies={}, payments={}, entries={},
    dead_letters=[], waiting={}, events=[], intents=[],
)  # fmt: skip


def call(begun: float, ended: float, *, status: int = 200, version: int = 0, who: str = "ann") -> Call:
    shown = {"id": "t1", "version": version, "title": "Opera", "price": 5, "userId": "u1", "orderId": None}
    return Call(
        who=who, begun=begun, ended=ended, method="GET", path="/api/tickets/t1", body=None,
        status=status, answer=shown,
    )  # fmt: skip


def test_a_version_that_goes_back_is_seen():
    history = History([call(0, 1, version=2), call(2, 3, version=1, who="bob")])
    (found,) = time_does_not_go_back(replace(NOTHING, history=history))
    assert found.ticket_id == "t1"


def test_answers_that_overlap_may_show_either():
    history = History([call(0, 3, version=2), call(2, 4, version=1)])
    assert not list(time_does_not_go_back(replace(NOTHING, history=history)))


def test_a_crash_is_seen_and_a_503_is_none():
    history = History([call(0, 1, status=500), call(0, 1, status=503)])
    assert len(list(answers_are_right(replace(NOTHING, history=history)))) == 1


def test_a_state_that_never_was_is_seen():
    history = History([call(0, 1, version=7)])
    (found,) = answers_are_right(replace(NOTHING, history=history))
    assert found.promise == "what was seen was so"


def test_dead_letters_and_events_that_wait_are_seen():
    letter = {"service": "orders", "subject": "ticket.created", "detail": "does not parse"}
    assert (
        len(list(nothing_is_left_over(replace(NOTHING, dead_letters=[letter], waiting={"orders": 1})))) == 2
    )


@pytest.mark.parametrize(
    ("status", "taken", "given_back", "right"),
    [
        ("complete", 500, 0, True),
        ("complete", 0, 0, False),
        ("complete", 1000, 0, False),
        ("refunded", 500, 500, True),
        ("refunded", 0, 0, True),  # before it was taken
        ("refunded", 500, 0, False),
        ("cancelled", 0, 0, True),
        ("cancelled", 500, 500, False),
    ],
)
def test_money_that_was_taken_or_kept_wrongly_is_seen(status, taken, given_back, right):
    order = {"status": status, "ticket": {"id": "t1", "price_cents": 500}}
    intent = Intent(
        id="pi_1", order_id="o1", payment_id="p1", status="", amount=500, held=False, taken=taken,
        given_back=given_back,
    )  # fmt: skip
    found = list(money_agrees(replace(NOTHING, orders={"o1": order}, intents=[intent])))
    assert [violation.order_id for violation in found] == ([] if right else ["o1"])


def test_a_story_leaves_out_what_shows_nothing_new():
    looks = [call(n, n + 0.5) for n in range(10)]
    refused = replace(looks[0], method="POST", status=400)
    told = tell(replace(NOTHING, history=History([*looks, refused])), Violation("one live order", "", "t1"))
    assert len(told) == 2  # the promise, and the first look
