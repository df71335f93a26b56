"""The invariant of idempotency keys. A form is all requests of a user with one key, or one without."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from bson import ObjectId

from ticketing_chaos.history import Request
from ticketing_chaos.snapshot import LIVE, Snapshot, Violation

_ORDERS = "/api/orders"

Form = list[Request]
Reservations = dict[str, list[tuple[str, float, float]]]  # by ticket: each order, its start and its end


def forms_take_effect_once(snapshot: Snapshot) -> Iterator[Violation]:
    """All successes of a form are the same, and no form creates two documents."""
    forms: dict[Any, Form] = defaultdict(list)
    for request in snapshot.history.requests:
        if request.method == "POST":
            forms[(request.user, request.path, request.key) if request.key else id(request)].append(request)
    reservations = _find_reservations(snapshot)
    for form in forms.values():
        if form[0].key:
            yield from _check_responses(form, reservations)
    yield from _check_tickets(snapshot, forms.values())
    yield from _check_orders(snapshot, forms.values())
    emails = Counter(account["email"] for account in snapshot.accounts.values())
    for email, count in emails.items():
        if count > 1:
            yield Violation(f"{count} accounts have the email {email}")


def _check_responses(form: Form, reservations: Reservations) -> Iterator[Violation]:
    """Requests that end after the start of the first success get its response.

    A rejection before it does not use up the key. Of two simultaneous orders one may be rejected if another
    order reserved the ticket at that time.
    """
    successes = [request for request in form if request.succeeded]
    for first in sorted(successes, key=lambda request: request.ended_at)[:1]:
        for request in form:
            if request.ended_at < first.started_at or not (request.succeeded or request.status in (400, 404)):
                continue
            was_reserved = request.path == _ORDERS and any(
                order_id != first.response["id"] and start < request.ended_at and request.started_at < end
                for order_id, start, end in reservations.get(first.response["ticket"]["id"], [])
            )
            may_be_rejected = was_reserved and request.started_at <= first.ended_at
            is_same = (request.status, request.response) == (first.status, first.response)
            if not is_same and (request.succeeded or not may_be_rejected):
                responses = f"{first.status} {first.response} and {request.status} {request.response}"
                yield Violation(f"the key {request.key} got {responses}", first.response.get("id"))


def _find_reservations(snapshot: Snapshot) -> Reservations:
    ended_at = {
        event.data["id"]: event.at.timestamp()
        for event in snapshot.events
        if event.subject in ("order.cancelled", "order.refunded")
    }
    reservations: Reservations = defaultdict(list)
    for order_id, order in snapshot.orders.items():
        start = ObjectId(order_id).generation_time.timestamp() - 1  # clocks differ
        end = float("inf") if order["status"] in LIVE else ended_at.get(order_id, float("inf"))
        reservations[order["ticket"]["id"]].append((order_id, start, end))
    return reservations


def _check_tickets(snapshot: Snapshot, forms: Iterable[Form]) -> Iterator[Violation]:
    created = {(e.data["title"], e.data["id"]) for e in snapshot.events if e.subject == "ticket.created"}
    counts = Counter(title for title, _ in created)
    for (_, title), count in _count_possible_effects(forms, "/api/tickets", "title").items():
        if counts[title] > count:
            about = min(ticket_id for created_title, ticket_id in created if created_title == title)
            yield Violation(f"{count} forms created {counts[title]} tickets {title}", about)


def _check_orders(snapshot: Snapshot, forms: Iterable[Form]) -> Iterator[Violation]:
    user_ids: dict[str, str] = {}
    for request in snapshot.history.requests:
        if request.succeeded and request.path in ("/api/users/signup", "/api/users/signin"):
            user_ids.setdefault(request.user, request.response["id"])
    orders = Counter((order["user_id"], order["ticket"]["id"]) for order in snapshot.orders.values())
    for (user, ticket_id), count in _count_possible_effects(forms, _ORDERS, "ticketId").items():
        if (found := orders[user_ids.get(user, ""), ticket_id]) > count:
            yield Violation(f"{count} forms of {user} created {found} orders of {ticket_id}", ticket_id)


def _count_possible_effects(forms: Iterable[Form], path: str, name: str) -> Counter[tuple[str, Any]]:
    """The number of forms that may have taken effect, by their user and the value of a field."""
    return Counter(
        (form[0].user, form[0].body[name])
        for form in forms
        if form[0].path == path and form[0].body and any(request.may_have_succeeded for request in form)
    )
