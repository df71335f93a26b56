"""The checks find violations in made-up snapshots that no negative control produces."""

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from ticketing_chaos.counterexample import describe
from ticketing_chaos.history import Fault, History, Request
from ticketing_chaos.invariants import find_violations
from ticketing_chaos.invariants.idempotency import forms_take_effect_once
from ticketing_chaos.invariants.responses import (
    errors_are_expected,
    known_documents_are_found,
    reads_never_go_back,
    responses_show_published_versions,
)
from ticketing_chaos.invariants.stored import (
    nothing_is_pending,
    payments_match_orders,
    unpaid_orders_expire_in_time,
)
from ticketing_chaos.snapshot import Event, Intent, Snapshot, Violation

EMPTY = Snapshot(
    history=History(), accounts={}, tickets={}, ticket_copies={}, orders={}, payments={}, expirations={},
    dead_letters=[], pending={}, events=[], intents=[],
)  # fmt: skip


def view(start: float, end: float, *, status: int = 200, version: int = 0, user: str = "ann") -> Request:
    shown = {"id": "t1", "version": version, "title": "Opera", "price": 5, "userId": "u1", "orderId": None}
    return Request(
        user=user, started_at=start, ended_at=end, method="GET", path="/api/tickets/t1", body=None,
        status=status, response=shown,
    )  # fmt: skip


def test_read_of_an_earlier_version_is_found():
    history = History([view(0, 1, version=2), view(2, 3, version=1, user="bob")])
    (found,) = reads_never_go_back(replace(EMPTY, history=history))
    assert found.about == "t1"


def test_repeated_form_may_show_its_first_version_again():
    history = History([view(0, 1, version=2), replace(view(2, 3, version=0), method="POST", key="k")])
    assert not list(reads_never_go_back(replace(EMPTY, history=history)))


def test_overlapping_reads_may_show_either_version():
    history = History([view(0, 3, version=2), view(2, 4, version=1)])
    assert not list(reads_never_go_back(replace(EMPTY, history=history)))


def test_500_is_found_and_503_is_not():
    history = History([view(0, 1, status=500), view(0, 1, status=503)])
    assert len(list(errors_are_expected(replace(EMPTY, history=history)))) == 1


def test_version_without_an_event_is_found():
    snapshot = replace(EMPTY, history=History([view(0, 1, version=7)]))
    assert list(responses_show_published_versions(snapshot))
    assert list(find_violations(snapshot)) == ["responses show published versions"]


def test_dead_letters_and_pending_events_are_found():
    letter = {"subject": "ticket.created", "detail": "does not parse"}
    assert len(list(nothing_is_pending(replace(EMPTY, dead_letters=[letter], pending={"orders": 1})))) == 2


@pytest.mark.parametrize(
    ("status", "captured", "refunded", "is_right"),
    [
        ("complete", 500, 0, True),
        ("complete", 0, 0, False),
        ("complete", 1000, 0, False),
        ("refunded", 500, 500, True),
        ("refunded", 0, 0, True),  # before it was captured
        ("refunded", 500, 0, False),
        ("cancelled", 0, 0, True),
        ("cancelled", 500, 500, False),
    ],
)
def test_wrong_captures_and_refunds_are_found(status, captured, refunded, is_right):
    order = {"status": status, "ticket": {"id": "t1", "price_cents": 500}}
    intent = Intent("pi_1", "o1", "", captured, refunded)
    found = list(payments_match_orders(replace(EMPTY, orders={"o1": order}, intents=[intent])))
    assert [violation.about for violation in found] == ([] if is_right else ["o1"])


def test_counterexample_omits_what_shows_nothing_new():
    views = [view(n, n + 0.5) for n in range(10)]
    rejected = replace(views[0], method="POST", status=400)
    lines = describe(replace(EMPTY, history=History([*views, rejected])), Violation("lost", "t1"))
    assert len(lines) == 2  # the violation, and the first view


def form(
    start: float, *, status: int | None = 201, ticket_id: str = "t1", key: str | None = "k", **response: Any
) -> Request:
    """A listing of the same seat each time; it takes half a second."""
    shown = {"id": ticket_id, "version": 0, "title": "Row 1"} | response
    return Request(
        user="ann", started_at=start, ended_at=start + 0.5, method="POST", path="/api/tickets", key=key,
        body={"title": "Row 1", "price": 5}, status=status, response=shown if status == 201 else None,
    )  # fmt: skip


def created(*ticket_ids: str) -> list[Event]:
    at = datetime.fromtimestamp(0, UTC)
    return [Event("ticket.created", {"id": each, "title": "Row 1"}, at) for each in ticket_ids]


@pytest.mark.parametrize(
    ("requests", "tickets", "is_violated"),
    [
        pytest.param([form(0, status=503), form(1)], ["t1"], False, id="repeated after a 503"),
        pytest.param([form(0), form(1)], ["t1"], False, id="repeated after the response"),
        pytest.param([form(0), form(0.1)], ["t1"], False, id="twice at once"),
        pytest.param([form(0, status=400), form(1)], ["t1"], False, id="rejected, then accepted"),
        pytest.param([form(0), form(1, ticket_id="t2")], ["t1", "t2"], True, id="two tickets"),
        pytest.param([form(0), form(1, version=1)], ["t1"], True, id="another version"),
        pytest.param([form(0), form(1, status=400)], ["t1"], True, id="rejected after it was accepted"),
        pytest.param([form(0), form(0.1, status=400)], ["t1"], True, id="one of two at once rejected"),
        pytest.param([form(0, status=None), form(1)], ["t1", "t2"], True, id="done twice, answered once"),
        pytest.param([form(0, status=503, key=None), form(1, key=None)], ["t1", "t2"], False, id="no key"),
        pytest.param([form(0, key=None)], ["t1", "t2"], True, id="two tickets of one request"),
    ],
)
def test_form_that_takes_effect_twice_is_found(requests, tickets, is_violated):
    snapshot = replace(EMPTY, history=History(requests), events=created(*tickets))
    assert bool(list(forms_take_effect_once(snapshot))) is is_violated


def order_form(start: float, *, status: int, order_id: str = "") -> Request:
    response = {"id": order_id, "version": 0, "ticket": {"id": "t1"}} if order_id else {"errors": []}
    return Request(
        user="ann", started_at=start, ended_at=start + 0.5, method="POST", path="/api/orders", key="k",
        body={"ticketId": "t1"}, status=status, response=response,
    )  # fmt: skip


@pytest.mark.parametrize("is_reserved", [False, True])
def test_order_rejected_beside_its_success_is_found_unless_another_order_reserved_the_ticket(is_reserved):
    now = time.time()
    own, other = (str(ObjectId.from_datetime(datetime.fromtimestamp(now - age, UTC))) for age in (0, 10))
    orders = {
        own: {"ticket": {"id": "t1"}, "user_id": "u1", "status": "created"},
        other: {"ticket": {"id": "t1"}, "user_id": "u2", "status": "cancelled"},
    }
    ended = datetime.fromtimestamp(now + (0.1 if is_reserved else -1), UTC)
    events = [Event("order.cancelled", {"id": other}, ended)]
    requests = [order_form(now, status=400), order_form(now, status=201, order_id=own)]
    snapshot = replace(EMPTY, history=History(requests), orders=orders, events=events)
    assert bool(list(forms_take_effect_once(snapshot))) is not is_reserved


def test_order_placed_twice_is_found_without_the_first_response():
    signed_up = Request(
        user="ann", started_at=0, ended_at=1, method="POST", path="/api/users/signup", body=None, status=201,
        response={"id": "u1"},
    )  # fmt: skip
    orders = {
        each: {"ticket": {"id": "t1"}, "user_id": "u1", "status": "cancelled"}
        for each in (str(ObjectId()), str(ObjectId()))
    }
    requests = [signed_up, order_form(2, status=503), order_form(3, status=503)]
    assert list(forms_take_effect_once(replace(EMPTY, history=History(requests), orders=orders)))


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
@pytest.mark.parametrize("is_known_by", ["a response", "the stream", "neither"])
def test_404_for_a_known_document_is_found(method, path, body, is_known_by):
    identity = str(ObjectId())
    asked = Request(
        user="bob", started_at=10, ended_at=11, method=method, path=path.format(id=identity), status=404,
        body=body and {name: value.format(id=identity) for name, value in body.items()}, response=None,
    )  # fmt: skip
    made = form(8 if is_known_by == "a response" else 12, ticket_id=identity)
    at = datetime.fromtimestamp(9 if is_known_by == "the stream" else 12, UTC)
    snapshot = replace(
        EMPTY,
        history=History([made, asked]),
        events=[Event("ticket.created", {"id": identity, "title": "Row 1"}, at)],
    )
    found = list(known_documents_are_found(snapshot))
    assert [violation.about for violation in found] == ([] if is_known_by == "neither" else [identity])


@pytest.mark.parametrize("may_delay_expiry", [False, True])
def test_late_expiry_is_found_unless_a_fault_may_delay_it(may_delay_expiry):
    expires_at = datetime.now(UTC) - timedelta(seconds=20)
    order = {"status": "created", "expires_at": expires_at, "ticket": {"id": "t1"}}
    start = expires_at.timestamp() - 1
    fault = Fault(start, start + 20, "", None, may_delay_expiry)
    snapshot = replace(EMPTY, history=History(faults=[fault]), orders={"o1": order})
    cancelled = [Event("order.cancelled", {"id": "o1"}, expires_at + timedelta(seconds=19))]
    found = list(unpaid_orders_expire_in_time(replace(snapshot, events=cancelled)))
    assert bool(found) is not may_delay_expiry
