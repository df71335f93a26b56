"""The checks of what the market answered. A generator each."""

from collections import defaultdict, deque
from collections.abc import Iterator

from ticketing_chaos.evidence import Evidence
from ticketing_chaos.history import Call, Json
from ticketing_chaos.violation import Violation, about, versions_of


def acknowledged_writes_are_there(evidence: Evidence) -> Iterator[Violation]:
    """What was answered with 2xx is there: accounts, tickets, edits, orders, their ends, payments."""
    payments = {payment["_id"]: payment for payment in evidence.payments.values()}
    for call in evidence.history.calls:
        if not call.is_done or call.is_read:
            continue
        match call.method, call.path.split("/")[2:]:
            case "POST", ["users", "signup"] if call.answer["id"] not in evidence.accounts:
                yield _lost(call)
            case "POST", ["tickets"] if call.answer["id"] not in evidence.tickets:
                yield _lost(call, ticket_id=call.answer["id"])
            case "PUT", ["tickets", ticket_id] if (
                ticket_id not in evidence.tickets
                or evidence.tickets[ticket_id]["version"] < call.answer["version"]
            ):
                yield _lost(call, ticket_id=ticket_id)
            case "POST", ["orders"] if call.answer["id"] not in evidence.orders:
                yield _lost(call, call.answer["ticket"]["id"], call.answer["id"])
            case "DELETE", ["orders", order_id] if _status(evidence, order_id) != "cancelled":
                yield _lost(call, _ticket(evidence, order_id), order_id)
            case "POST", ["orders", order_id, "refund"] if _status(evidence, order_id) != "refunded":
                yield _lost(call, _ticket(evidence, order_id), order_id)
            case "POST", ["payments"] if call.answer["id"] not in payments:
                order_id = (call.body or {})["orderId"]
                yield _lost(call, _ticket(evidence, order_id), order_id)


def _lost(call: Call, ticket_id: str | None = None, order_id: str | None = None) -> Violation:
    what = f"{call.method} {call.path} was answered {call.status} {call.answer}, and it is gone"
    return Violation("no acknowledged write is lost", what, ticket_id, order_id)


def _status(evidence: Evidence, order_id: str) -> str | None:
    return str(evidence.orders[order_id]["status"]) if order_id in evidence.orders else None


def _ticket(evidence: Evidence, order_id: str) -> str | None:
    return str(evidence.orders[order_id]["ticket"]["id"]) if order_id in evidence.orders else None


def answers_are_right(evidence: Evidence) -> Iterator[Violation]:
    """No answer is a crash, and each state that was seen did exist."""
    events = {kind: versions_of(evidence.events, kind) for kind in ("ticket", "order")}
    for call in evidence.history.calls:
        if call.status is not None and (
            (call.status >= 500 and call.status != 503) or call.status in (401, 403)
        ):
            what = f"{call.method} {call.path}: {call.status} {call.answer}, request {call.request_id}"
            yield Violation("no answer is a crash", what)
        for seen in call.aggregates():
            kind = "ticket" if "/tickets" in call.path else "order"
            told = events[kind].get(seen["id"], {}).get(seen["version"])
            if told is None or not _shows(told[0], seen, kind):
                what = f"{call.method} {call.path} showed {seen}, the event is {told}"
                yield Violation("what was seen was so", what, **about(kind, seen["id"], seen))


def _shows(told: tuple[str, Json], seen: Json, kind: str) -> bool:
    subject, data = told
    if kind == "ticket":
        return all(data.get(field) == seen[field] for field in ("title", "price", "userId", "orderId"))
    shown = {"created": "created", "complete": "completed"}.get(seen["status"], seen["status"])
    return subject == f"order.{shown}"


def time_does_not_go_back(evidence: Evidence) -> Iterator[Violation]:
    """Whoever asks after an answer came sees at least what that answer showed.

    The answer to a key does not count: repeated, it is what it was at first.
    """
    seen: dict[str, list[tuple[float, float, int, Call]]] = defaultdict(list)
    for call in evidence.history.calls:
        if call.key:
            continue
        for shown in call.aggregates():
            seen[shown["id"]].append((call.begun, call.ended, shown["version"], call))
    for identity, sights in seen.items():
        known, ended = 0, deque(sorted((end, version) for _, end, version, _ in sights))
        for begun, _, version, call in sorted(sights, key=lambda sight: sight[0]):
            while ended and ended[0][0] < begun:
                known = max(known, ended.popleft()[1])
            if version < known:
                kind = "ticket" if "/tickets" in call.path else "order"
                what = f"{call.who} saw version {version} of {kind} {identity} after somebody saw {known}"
                yield Violation("what was seen stays", what, **({f"{kind}_id": identity}))
