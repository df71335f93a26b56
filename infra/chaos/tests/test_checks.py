"""What no guard can be switched off for: the checker sees it in made-up evidence."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from ticketing_chaos.answer_checks import answers_are_right, time_does_not_go_back
from ticketing_chaos.certainty_checks import each_form_takes_effect_once, what_exists_is_never_unknown
from ticketing_chaos.data_checks import money_agrees, nothing_is_left_over, orders_expire_in_time
from ticketing_chaos.evidence import Event, Evidence, Intent
from ticketing_chaos.history import Call, Deed, History
from ticketing_chaos.story import tell
from ticketing_chaos.violation import Violation

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


def test_a_repeated_form_may_show_again_what_it_showed_first():
    history = History([call(0, 1, version=2), replace(call(2, 3, version=0), method="POST", key="k")])
    assert not list(time_does_not_go_back(replace(NOTHING, history=history)))


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


def form(
    begun: float, *, status: int | None = 201, ticket_id: str = "t1", key: str | None = "k", **answer: Any
) -> Call:
    """A listing of the same seat each time; it takes half a second."""
    shown = {"id": ticket_id, "version": 0, "title": "Row 1"} | answer
    return Call(
        who="ann", begun=begun, ended=begun + 0.5, method="POST", path="/api/tickets", key=key,
        body={"title": "Row 1", "price": 5}, status=status, answer=shown if status == 201 else None,
    )  # fmt: skip


def listed(*ticket_ids: str) -> list[Event]:
    at = datetime.fromtimestamp(0, UTC)
    return [Event("ticket.created", {"id": each, "title": "Row 1"}, at) for each in ticket_ids]


@pytest.mark.parametrize(
    ("calls", "tickets", "is_broken"),
    [
        pytest.param([form(0, status=503), form(1)], ["t1"], False, id="repeated after a 503"),
        pytest.param([form(0), form(1)], ["t1"], False, id="repeated after the answer"),
        pytest.param([form(0), form(0.1)], ["t1"], False, id="twice at once"),
        pytest.param([form(0, status=400), form(1)], ["t1"], False, id="refused, then accepted"),
        pytest.param([form(0), form(1, ticket_id="t2")], ["t1", "t2"], True, id="two tickets"),
        pytest.param([form(0), form(1, version=1)], ["t1"], True, id="another state"),
        pytest.param([form(0), form(1, status=400)], ["t1"], True, id="refused after it was accepted"),
        pytest.param([form(0), form(0.1, status=400)], ["t1"], True, id="one of two at once refused"),
        pytest.param([form(0, status=None), form(1)], ["t1", "t2"], True, id="done twice, answered once"),
        pytest.param([form(0, status=503, key=None), form(1, key=None)], ["t1", "t2"], False, id="no key"),
        pytest.param([form(0, key=None)], ["t1", "t2"], True, id="two tickets of one request"),
    ],
)
def test_a_form_that_took_effect_twice_is_seen(calls, tickets, is_broken):
    evidence = replace(NOTHING, history=History(calls), events=listed(*tickets))
    assert bool(list(each_form_takes_effect_once(evidence))) is is_broken


def order_form(begun: float, *, status: int, order_id: str = "") -> Call:
    answer = {"id": order_id, "version": 0, "ticket": {"id": "t1"}} if order_id else {"errors": []}
    return Call(
        who="ann", begun=begun, ended=begun + 0.5, method="POST", path="/api/orders", key="k",
        body={"ticketId": "t1"}, status=status, answer=answer,
    )  # fmt: skip


@pytest.mark.parametrize("is_held_by_another", [False, True])
def test_an_order_form_refused_beside_its_success_is_seen_unless_another_order_held_the_ticket(
    is_held_by_another,
):
    now = time.time()
    own, other = (str(ObjectId.from_datetime(datetime.fromtimestamp(now - age, UTC))) for age in (0, 10))
    orders = {
        own: {"ticket": {"id": "t1"}, "user_id": "u1", "status": "created"},
        other: {"ticket": {"id": "t1"}, "user_id": "u2", "status": "cancelled"},
    }
    ended = datetime.fromtimestamp(now + (0.1 if is_held_by_another else -1), UTC)
    events = [Event("order.cancelled", {"id": other}, ended)]
    calls = [order_form(now, status=400), order_form(now, status=201, order_id=own)]
    evidence = replace(NOTHING, history=History(calls), orders=orders, events=events)
    assert bool(list(each_form_takes_effect_once(evidence))) is not is_held_by_another


def test_an_order_that_a_form_placed_twice_is_seen_without_the_first_answer():
    signed_up = Call(
        who="ann", begun=0, ended=1, method="POST", path="/api/users/signup", body=None, status=201,
        answer={"id": "u1"},
    )  # fmt: skip
    orders = {
        each: {"ticket": {"id": "t1"}, "user_id": "u1", "status": "cancelled"}
        for each in (str(ObjectId()), str(ObjectId()))
    }
    calls = [signed_up, order_form(2, status=503), order_form(3, status=503)]
    assert list(each_form_takes_effect_once(replace(NOTHING, history=History(calls), orders=orders)))


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/tickets/{id}", None),
        ("GET", "/api/orders/{id}", None),
        ("GET", "/api/orders/holds/{id}", None),
        ("DELETE", "/api/orders/{id}", None),
        ("POST", "/api/orders", {"ticketId": "{id}"}),
        ("POST", "/api/payments", {"orderId": "{id}", "token": "tok_visa"}),
    ],
)
@pytest.mark.parametrize("is_known_by", ["an answer", "the stream", "neither"])
def test_a_404_for_a_thing_that_was_known_to_exist_is_seen(method, path, body, is_known_by):
    identity = str(ObjectId())
    asked = Call(
        who="bob", begun=10, ended=11, method=method, path=path.format(id=identity), status=404, answer=None,
        body=body and {field: value.format(id=identity) for field, value in body.items()},
    )  # fmt: skip
    made = form(8 if is_known_by == "an answer" else 12, ticket_id=identity)
    at = datetime.fromtimestamp(9 if is_known_by == "the stream" else 12, UTC)
    evidence = replace(
        NOTHING,
        history=History([made, asked]),
        events=[Event("ticket.created", {"id": identity, "title": "Row 1"}, at)],
    )
    found = list(what_exists_is_never_unknown(evidence))
    assert [violation.ticket_id for violation in found] == ([] if is_known_by == "neither" else [identity])


@pytest.mark.parametrize("may_delay_expiry", [False, True])
def test_an_order_that_expires_late_is_seen_unless_what_was_done_may_delay_it(may_delay_expiry):
    expires_at = datetime.now(UTC) - timedelta(seconds=20)
    order = {"status": "created", "expires_at": expires_at, "ticket": {"id": "t1"}}
    began = expires_at.timestamp() - 1
    deed = Deed(begun=began, ended=began + 20, what="", recovered_in=None, may_delay_expiry=may_delay_expiry)
    evidence = replace(NOTHING, history=History(deeds=[deed]), orders={"o1": order})
    decided = [Event("order.cancelled", {"id": "o1"}, expires_at + timedelta(seconds=19))]
    found = list(orders_expire_in_time(replace(evidence, events=decided)))
    assert bool(found) is not may_delay_expiry


def test_a_ticket_that_many_lists_show_is_kept_in_memory_once():
    history = History()
    first, second = (history.share([{"id": "t1", "version": 0}]) for _ in range(2))
    assert first[0] is second[0]
