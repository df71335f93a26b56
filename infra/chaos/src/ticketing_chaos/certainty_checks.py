"""The checks of what may be concluded from an answer: one form, one thing; and what exists is not unknown."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from ticketing_chaos.data_checks import LIVE
from ticketing_chaos.evidence import Evidence
from ticketing_chaos.history import Call, Json
from ticketing_chaos.violation import Violation

_FORM = "one form, one thing"
_ORDERS = "/api/orders"
_TICKETS = "/api/tickets"


def each_form_takes_effect_once(evidence: Evidence) -> Iterator[Violation]:
    """The answers to one Idempotency-Key are the same, and no form made two things."""
    holds = _holds(evidence)
    for calls in _forms(evidence, with_key=True).values():
        yield from _answers_agree(calls, holds)
    yield from _no_ticket_is_listed_twice(evidence)
    yield from _no_order_is_placed_twice(evidence)
    emails = Counter(account["email"] for account in evidence.accounts.values())
    for email, count in emails.items():
        if count > 1:
            yield Violation(_FORM, f"{count} accounts have the email {email}")


def _forms(evidence: Evidence, *, with_key: bool) -> dict[Any, list[Call]]:
    """The calls of each form. Unless only those with a key are wanted, a call without one is its own form."""
    forms: dict[Any, list[Call]] = defaultdict(list)
    for call in evidence.history.calls:
        if call.method == "POST" and (call.key or not with_key):
            forms[(call.who, call.path, call.key) if call.key else id(call)].append(call)
    return forms


def _answers_agree(calls: list[Call], holds: dict[str, list["_Hold"]]) -> Iterator[Violation]:
    """After the first success all answers are that one, and so are those to requests sent at the same time.

    A refusal before it takes no key. An order that is sent twice at once may be refused and accepted, if
    another order held the ticket just then.
    """
    done = [call for call in calls if call.is_done]
    if not done:
        return
    first = min(done, key=lambda call: call.ended)
    concerns = _concerns(first)
    for call in calls:
        if call is first or call.ended < first.begun or not (call.is_done or call.status in (400, 404)):
            continue
        if call.is_done:
            if (call.status, call.answer) != (first.status, first.answer):
                what = f"the key {call.key} was answered {first.answer}, and {call.answer}"
                yield Violation(_FORM, what, *concerns)
        elif call.begun > first.ended or not _was_held_by_another(call, first, holds):
            what = f"the key {call.key} was answered {first.status}, and {call.status} {call.answer}"
            yield Violation(_FORM, what, *concerns)


def _concerns(call: Call) -> tuple[str | None, str | None]:
    if call.path == _TICKETS:
        return call.answer["id"], None
    return (call.answer["ticket"]["id"], call.answer["id"]) if call.path == _ORDERS else (None, None)


@dataclass(frozen=True)
class _Hold:
    """An order of a ticket, and when it held it. Wide rather than narrow."""

    order_id: str
    begun: float
    ended: float


def _holds(evidence: Evidence) -> dict[str, list[_Hold]]:
    ends = {
        event.data["id"]: event.at.timestamp()
        for event in evidence.events
        if event.subject in ("order.cancelled", "order.refunded")
    }
    holds = defaultdict(list)
    for order_id, order in evidence.orders.items():
        begun = ObjectId(order_id).generation_time.timestamp() - 1  # clocks differ
        ended = float("inf") if order["status"] in LIVE else ends.get(order_id, float("inf"))
        holds[order["ticket"]["id"]].append(_Hold(order_id, begun, ended))
    return holds


def _was_held_by_another(call: Call, first: Call, holds: dict[str, list[_Hold]]) -> bool:
    return call.path == _ORDERS and any(
        hold.order_id != first.answer["id"] and hold.begun < call.ended and call.begun < hold.ended
        for hold in holds.get(first.answer["ticket"]["id"], [])
    )


def _no_ticket_is_listed_twice(evidence: Evidence) -> Iterator[Violation]:
    made: dict[str, set[str]] = defaultdict(set)
    for event in evidence.events:
        if event.subject == "ticket.created":
            made[event.data["title"]].add(event.data["id"])
    for title, forms in _that_may_be_done(evidence, _TICKETS, "title").items():
        if len(made[title]) > forms:
            what = f"{forms} forms listed {title}; the tickets are {sorted(made[title])}"
            yield Violation(_FORM, what, min(made[title]))


def _no_order_is_placed_twice(evidence: Evidence) -> Iterator[Violation]:
    made: Counter[tuple[str, str]] = Counter()
    for order in evidence.orders.values():
        made[order["user_id"], order["ticket"]["id"]] += 1
    names = _user_ids(evidence)
    for (who, ticket_id), forms in _that_may_be_done(evidence, _ORDERS, "ticketId", by_person=True).items():
        if (count := made[names.get(who, ""), ticket_id]) > forms:
            what = f"{forms} forms of {who} ordered {ticket_id}; there are {count} orders"
            yield Violation(_FORM, what, ticket_id)


def _that_may_be_done(evidence: Evidence, path: str, field: str, *, by_person: bool = False) -> Counter[Any]:
    """How many forms with each value of the field may have taken effect."""
    counts: Counter[Any] = Counter()
    for calls in _forms(evidence, with_key=False).values():
        call = calls[0]
        if call.path == path and call.body and any(each.may_be_done for each in calls):
            value = call.body[field]
            counts[(call.who, value) if by_person else value] += 1
    return counts


def _user_ids(evidence: Evidence) -> dict[str, str]:
    """The user's id of each person, as the first successful sign-up or sign-in told it."""
    ids: dict[str, str] = {}
    for call in evidence.history.calls:
        if call.is_done and call.path in ("/api/users/signup", "/api/users/signin"):
            ids.setdefault(call.who, call.answer["id"])
    return ids


def what_exists_is_never_unknown(evidence: Evidence) -> Iterator[Violation]:
    """A thing is never 404 once an answer showed it, or the stream had the event of its creation."""
    known_since = _known_since(evidence)
    for call in evidence.history.calls:
        if call.status != 404:
            continue
        for identity in _asked_for(call):
            since = known_since.get(identity, float("inf"))
            if since < call.begun:
                what = (
                    f"{call.method} {call.path} {call.body or ''}: 404, {call.begun - since:.1f} s after the "
                    f"creation of {identity} was known"
                )
                yield Violation("what exists is never unknown", what, identity)


def _known_since(evidence: Evidence) -> dict[str, float]:
    known = {
        event.data["id"]: event.at.timestamp()
        for event in evidence.events
        if event.subject in ("ticket.created", "order.created")
    }
    for call in evidence.history.calls:
        for shown in call.aggregates():
            known[shown["id"]] = min(known.get(shown["id"], call.ended), call.ended)
    return known


def _asked_for(call: Call) -> Iterator[str]:
    """The ids of the tickets and orders without which a request is 404."""
    match call.method, call.path.split("/")[2:]:
        case "GET", ["orders", _, "refund"]:
            return  # the order is there, and was not refunded
        case _, ["tickets" | "orders", identity, *_] if ObjectId.is_valid(identity):
            yield identity
        case "GET", ["orders", "holds", ticket_id]:
            yield ticket_id
    body: Json = call.body or {}
    for field in ("ticketId", "orderId"):
        if field in body:
            yield body[field]
