"""Invariants of what is stored: the databases, the stream, and Stripe's records."""

import time
from collections import defaultdict
from collections.abc import Iterator

from ticketing_chaos.history import Json
from ticketing_chaos.snapshot import LIVE, Event, Snapshot, Violation

CALM_SECONDS = 5.0  # without a fault, after which an expired order must have ended


def each_ticket_has_one_live_order(snapshot: Snapshot) -> Iterator[Violation]:
    """Its orders are numbered 1, 2, 3, and all but the last have ended."""
    for ticket_id, orders in snapshot.orders_by_ticket().items():
        numbers = [order["ticket"]["n"] for order in orders]
        if numbers != list(range(1, len(orders) + 1)):
            yield Violation(f"the orders of {ticket_id} are numbered {numbers}", ticket_id)
        if live := [order["_id"] for order in orders[:-1] if order["status"] in LIVE]:
            yield Violation(f"{live} reserve {ticket_id}, as a later order does", ticket_id)


def each_version_has_one_event(snapshot: Snapshot) -> Iterator[Violation]:
    """Every version of a ticket or order is in the stream with one content; the last event is current."""
    for kind, documents in (("ticket", snapshot.tickets), ("order", snapshot.orders)):
        events = snapshot.events_by_version(kind)
        for identity in events.keys() - documents.keys():
            yield Violation(f"{kind} {identity} has events but no document", identity)
        for identity, document in documents.items():
            published, version = events.get(identity, {}), document["version"]
            if sorted(published) != list(range(version + 1)):
                description = f"{kind} {identity} has version {version}, the stream has {sorted(published)}"
                yield Violation(description, identity)
            for same in published.values():
                if any((each.subject, each.data) != (same[0].subject, same[0].data) for each in same):
                    yield Violation(f"a version of {kind} {identity} has different events: {same}", identity)
            last = published.get(version, [None])[0]
            if not has_state(last, kind, _to_response(document) if kind == "ticket" else document):
                yield Violation(f"the last event of {identity} is {last}, the document {document}", identity)


def _to_response(ticket: Json) -> Json:
    names = {"title": "title", "userId": "user_id", "orderId": "order_id"}
    return {name: ticket[field] for name, field in names.items()} | {"price": ticket["price_cents"] / 100}


def has_state(event: Event | None, kind: str, shown: Json) -> bool:
    """Whether the event shows the same ticket or order as this response."""
    if event is None:
        return False
    if kind == "order":
        status = "completed" if shown["status"] == "complete" else shown["status"]
        n = event.data["ticket"]["n"]
        return event.subject == f"order.{status}" and shown["ticket"].get("n", n) == n
    return all(event.data.get(name) == shown[name] for name in ("title", "price", "userId", "orderId"))


def read_models_agree(snapshot: Snapshot) -> Iterator[Violation]:
    """Every copy equals its original, in every field and version."""
    orders = snapshot.orders_by_ticket()
    for ticket_id, ticket in snapshot.tickets.items():
        original = {name: ticket[name] for name in ("version", "title", "price_cents")}
        original["seller_id"] = ticket["user_id"]
        if difference := _compare(snapshot.ticket_copies.get(ticket_id), original):
            yield Violation(f"orders has ticket {ticket_id} with {difference}", ticket_id)
        last = orders[ticket_id][-1] if ticket_id in orders else None
        original = {"order_id": last["_id"] if last and last["status"] in LIVE else None}
        if difference := _compare(ticket, original | {"order_n": last["ticket"]["n"] if last else 0}):
            yield Violation(f"tickets has ticket {ticket_id} with {difference}", ticket_id)
    for order_id, order in snapshot.orders.items():
        original = {name: order[name] for name in ("user_id", "expires_at")}
        original |= {"order_version": order["version"], "order_status": order["status"]}
        original |= {"amount_cents": order["ticket"]["price_cents"]}
        if difference := _compare(snapshot.payments.get(order_id), original):
            yield Violation(f"payments has order {order_id} with {difference}", order_id)
        # The expiration service does not consume refunds.
        version = order["version"] - (order["status"] == "refunded")
        original = {"version": version, "expires_at": order["expires_at"]}
        if difference := _compare(snapshot.expirations.get(order_id), original):
            yield Violation(f"expiration has order {order_id} with {difference}", order_id)


def _compare(copy: Json | None, original: Json) -> str | None:
    found = {name: (copy or {}).get(name) for name in original}
    return None if found == original else f"{found} instead of {original}"


def unpaid_orders_expire_in_time(snapshot: Snapshot) -> Iterator[Violation]:
    """No order is live past its expiry and a calm period."""
    ended_at = {
        event.data["id"]: event.at.timestamp()
        for event in reversed(snapshot.events)
        if event.subject in ("order.cancelled", "order.completed")
    }
    faults = [fault for fault in snapshot.history.faults if fault.may_delay_expiry]
    for order_id, order in snapshot.orders.items():
        status, expires_at = order["status"], order["expires_at"].timestamp()
        end = ended_at.get(order_id, float("inf") if status == "created" else 0)
        deadline = expires_at + CALM_SECONDS
        for fault in faults:  # in order of time
            recovered_at = fault.ended_at + (fault.recovered_in or 0)
            if recovered_at + CALM_SECONDS > deadline and fault.started_at < deadline:
                deadline = recovered_at + CALM_SECONDS
        if end > deadline:
            late = min(end, time.time()) - expires_at
            yield Violation(f"order {order_id} ({status}) was live {late:.1f} s past its expiry", order_id)


def payments_match_orders(snapshot: Snapshot) -> Iterator[Violation]:
    """Complete orders are captured once, refunded ones refunded, and nothing else is captured or held."""
    by_order = defaultdict(list)
    for intent in snapshot.intents:
        by_order[intent.order_id].append(intent)
    for order_id in by_order.keys() - snapshot.orders.keys():
        yield Violation(f"{by_order[order_id]} have no order", order_id)
    for order_id, order in snapshot.orders.items():
        intents, cents, status = by_order[order_id], order["ticket"]["price_cents"], order["status"]
        if len(intents) > 1:
            yield Violation(f"order {order_id} has {len(intents)} PaymentIntents", order_id)
        if any(intent.status == "requires_capture" for intent in intents):
            yield Violation(f"order {order_id} ({status}) holds an authorisation: {intents}", order_id)
        captured, refunded = sum(i.captured for i in intents), sum(i.refunded for i in intents)
        # A refund before the capture releases the authorisation.
        allowed = {"complete": [(cents, 0)], "refunded": [(cents, cents), (0, 0)]}.get(status, [(0, 0)])
        if (captured, refunded) not in allowed:
            money = f"{captured} of {cents} cents are captured, {refunded} refunded"
            yield Violation(f"order {order_id} is {status}; {money}", order_id)


def nothing_is_pending(snapshot: Snapshot) -> Iterator[Violation]:
    """The outboxes are empty, the consumers have caught up, and there are no dead letters."""
    for documents in (snapshot.tickets, snapshot.orders, snapshot.payments):
        for identity, document in documents.items():
            if subjects := [entry["subject"] for entry in document["outbox"]]:
                yield Violation(f"{subjects} are in the outbox of {identity}")
    for consumer, count in snapshot.pending.items():
        if count:
            yield Violation(f"{consumer} has not acknowledged {count} events")
    for letter in snapshot.dead_letters:
        yield Violation(f"there is a dead letter: {letter['subject']} {letter['detail']}")
