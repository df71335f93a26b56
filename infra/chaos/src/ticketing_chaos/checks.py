"""The checker: each promise of the market, held against the evidence. Pure functions, a generator each."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ticketing_chaos.evidence import Event, Evidence
from ticketing_chaos.history import Call, Json
from ticketing_chaos.saboteur import CALM

LIVE = ("created", "awaiting:payment", "complete")


@dataclass(frozen=True)
class Violation:
    promise: str
    what: str
    ticket_id: str | None = None
    order_id: str | None = None

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"


def _cents(dollars: Any) -> int:
    return round(float(dollars) * 100)


def one_live_order(evidence: Evidence) -> Iterator[Violation]:
    """A ticket is never in two live orders: its orders are numbered 1, 2, 3; all but the last have ended."""
    by_ticket: dict[str, list[Json]] = defaultdict(list)
    for order in evidence.orders.values():
        by_ticket[order["ticket"]["id"]].append(order)
    for ticket_id, orders in by_ticket.items():
        orders.sort(key=lambda order: order["ticket"]["n"])
        numbers = [order["ticket"]["n"] for order in orders]
        if numbers != list(range(1, len(orders) + 1)):
            yield Violation("one live order", f"the orders of {ticket_id} are numbered {numbers}", ticket_id)
        live = [order["_id"] for order in orders[:-1] if order["status"] in LIVE]
        if live:
            yield Violation("one live order", f"{live} hold {ticket_id}, as does a later order", ticket_id)


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


def each_version_has_one_event(evidence: Evidence) -> Iterator[Violation]:
    """Every version of a ticket and an order is in the stream, with one content; the last says what is."""
    promise = "a change and its event"
    for kind, documents in (("ticket", evidence.tickets), ("order", evidence.orders)):
        versions = _versions(evidence.events, kind)
        for identity in versions.keys() - documents.keys():
            yield Violation(
                promise, f"events of {kind} {identity}, which is not there", **_about(kind, identity)
            )
        for identity, document in documents.items():
            told = versions.get(identity, {})
            about = _about(kind, identity, document)
            missing = [n for n in range(document["version"] + 1) if n not in told]
            if missing or len(told) > document["version"] + 1:
                what = f"{kind} {identity} is at version {document['version']}, the stream has {sorted(told)}"
                yield Violation(promise, what, **about)
            for version, events in told.items():
                if any(event != events[0] for event in events[1:]):
                    yield Violation(promise, f"version {version} of {kind} {identity}: {events}", **about)
            last = told.get(document["version"], [("nothing", {})])[0]
            if not _tells(last, document, kind):
                yield Violation(promise, f"the last event of {kind} {identity} says {last}", **about)


def _versions(events: list[Event], kind: str) -> dict[str, dict[int, list[tuple[str, Json]]]]:
    found: dict[str, dict[int, list[tuple[str, Json]]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        if event.aggregate == kind:
            found[event.data["id"]][event.data["version"]].append((event.subject, event.data))
    return found


def _tells(last: tuple[str, Json], document: Json, kind: str) -> bool:
    subject, data = last
    if kind == "ticket":
        price, order_id = _cents(data.get("price", 0)), data.get("orderId")
        facts = (data.get("title"), price, data.get("userId"), order_id)
        return facts == tuple(document[f] for f in ("title", "price_cents", "user_id", "order_id"))
    status = {"created": "created", "complete": "completed"}.get(document["status"], document["status"])
    ticket = data.get("ticket", {})
    return subject == f"order.{status}" and ticket["n"] == document["ticket"]["n"]


def _about(kind: str, identity: str, document: Json | None = None) -> dict[str, Any]:
    if kind == "ticket":
        return {"ticket_id": identity}
    return {"order_id": identity, "ticket_id": document["ticket"]["id"] if document else None}


def replicas_agree(evidence: Evidence) -> Iterator[Violation]:
    """Every copy equals its owner's, in every field and version."""
    promise = "every service ends in agreement"
    for ticket_id, ticket in evidence.tickets.items():
        copy = evidence.copies.get(ticket_id, {})
        owners = {f: ticket[f] for f in ("version", "title", "price_cents")} | {
            "seller_id": ticket["user_id"]
        }
        if {field: copy.get(field) for field in owners} != owners:
            yield Violation(promise, f"orders has ticket {ticket_id} as {copy}, it is {owners}", ticket_id)
    last: dict[str, Json] = {}
    for order in evidence.orders.values():
        known = last.setdefault(order["ticket"]["id"], order)
        if order["ticket"]["n"] > known["ticket"]["n"]:
            last[order["ticket"]["id"]] = order
    for ticket_id, ticket in evidence.tickets.items():
        order = last.get(ticket_id, {})
        held_by = order["_id"] if order and order["status"] in LIVE else None
        n = order["ticket"]["n"] if order else 0
        if (ticket["order_id"], ticket["order_n"]) != (held_by, n):
            said = f"{ticket['order_id']} ({ticket['order_n']})"
            what = f"tickets says {said} holds {ticket_id}, it is {held_by} ({n})"
            yield Violation(promise, what, ticket_id, held_by)
    for order_id, order in evidence.orders.items():
        ticket_id = order["ticket"]["id"]
        owners = {
            "order_version": order["version"], "order_status": order["status"], "user_id": order["user_id"],
            "amount_cents": order["ticket"]["price_cents"], "expires_at": order["expires_at"],
        }  # fmt: skip
        payment = evidence.payments.get(order_id, {})
        if {field: payment.get(field) for field in owners} != owners:
            yield Violation(promise, f"payments has {payment}, the order is {owners}", ticket_id, order_id)
        entry = evidence.entries.get(order_id, {})
        # A refund is no concern of the ledger's.
        version = order["version"] - (order["status"] == "refunded")
        if (entry.get("version"), entry.get("expires_at")) != (version, order["expires_at"]):
            yield Violation(promise, f"expiration has {entry}, the order is {owners}", ticket_id, order_id)


def orders_expire_in_time(evidence: Evidence) -> Iterator[Violation]:
    """No order is live past its expiry, and five calm seconds."""
    decided = {
        event.data["id"]: event.at.timestamp()
        for event in reversed(evidence.events)
        if event.subject in ("order.cancelled", "order.completed")
    }
    deeds = sorted(evidence.history.deeds, key=lambda deed: deed.begun)
    for order_id, order in evidence.orders.items():
        at = _calm_after(order["expires_at"].timestamp(), deeds)
        if decided.get(order_id, float("inf")) > at and (order["status"] == "created" or order_id in decided):
            late = decided.get(order_id, time.time()) - order["expires_at"].timestamp()
            what = f"order {order_id} is {order['status']}; it was live {late:.1f} s past its expiry"
            yield Violation("an order not paid for in time is over", what, order["ticket"]["id"], order_id)


def _calm_after(moment: float, deeds: list[Any]) -> float:
    """When, at the latest, what was due at this moment must have happened: after so much calm."""
    for deed in deeds:
        ended = deed.ended + (deed.recovered_in or 0)
        if ended > moment and deed.begun < moment + CALM:
            moment = ended
    return moment + CALM


def money_agrees(evidence: Evidence) -> Iterator[Violation]:
    """Taken once for complete orders, given back for refunded ones, never taken for others, not held."""
    promise = "nobody is charged wrongly"
    intents = defaultdict(list)
    for intent in evidence.intents:
        intents[intent.order_id].append(intent)
    for order_id in intents.keys() - evidence.orders.keys():
        yield Violation(promise, f"{intents[order_id]}: there is no such order", None, order_id)
    for order_id, order in evidence.orders.items():
        about = (order["ticket"]["id"], order_id)
        cents, theirs = order["ticket"]["price_cents"], intents[order_id]
        if len(theirs) > 1:
            yield Violation(promise, f"order {order_id} has {len(theirs)} PaymentIntents", *about)
        if any(intent.held for intent in theirs):
            yield Violation(promise, f"the {order['status']} order {order_id} holds money: {theirs}", *about)
        taken, given_back = sum(i.taken for i in theirs), sum(i.given_back for i in theirs)
        # A refund that comes before the money was taken releases it.
        rightly = {"complete": [(cents, 0)], "refunded": [(cents, cents), (0, 0)]}
        if (taken, given_back) not in rightly.get(order["status"], [(0, 0)]):
            what = (
                f"the order {order_id} of {cents} cents is {order['status']}; {taken} were taken, "
                f"{given_back} given back"
            )
            yield Violation(promise, what, *about)


def nothing_is_left_over(evidence: Evidence) -> Iterator[Violation]:
    """The outboxes are empty, the consumers have caught up, and there are no dead letters."""
    promise = "nothing is left over"
    for kind, documents in (
        ("ticket", evidence.tickets), ("order", evidence.orders), ("payment", evidence.payments),
    ):  # fmt: skip
        for identity, document in documents.items():
            if document["outbox"]:
                subjects = [entry["subject"] for entry in document["outbox"]]
                yield Violation(promise, f"{subjects} in the outbox of {kind} {identity}")
    for service, count in evidence.waiting.items():
        if count:
            yield Violation(promise, f"{count} events wait for {service}")
    for letter in evidence.dead_letters:
        yield Violation(
            promise, f"a dead letter of {letter['service']}: {letter['subject']} {letter['detail']}"
        )


def answers_are_right(evidence: Evidence) -> Iterator[Violation]:
    """No answer is a crash, and each state that was seen did exist."""
    events = {kind: _versions(evidence.events, kind) for kind in ("ticket", "order")}
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
                yield Violation("what was seen was so", what, **_about(kind, seen["id"], seen))


def _shows(told: tuple[str, Json], seen: Json, kind: str) -> bool:
    subject, data = told
    if kind == "ticket":
        return all(data.get(field) == seen[field] for field in ("title", "price", "userId", "orderId"))
    shown = {"created": "created", "complete": "completed"}.get(seen["status"], seen["status"])
    return subject == f"order.{shown}"


def time_does_not_go_back(evidence: Evidence) -> Iterator[Violation]:
    """Whoever asks after an answer came sees at least what that answer showed."""
    seen: dict[str, list[tuple[float, float, int, Call]]] = defaultdict(list)
    for call in evidence.history.calls:
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


CHECKS: list[Callable[[Evidence], Iterator[Violation]]] = [
    one_live_order,
    acknowledged_writes_are_there,
    each_version_has_one_event,
    replicas_agree,
    orders_expire_in_time,
    money_agrees,
    nothing_is_left_over,
    answers_are_right,
    time_does_not_go_back,
]


def violations(evidence: Evidence) -> list[Violation]:
    return [violation for check in CHECKS for violation in check(evidence)]
