"""The checks of what is left: the five databases, the stream and Stripe. A generator each."""

import time
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from ticketing_chaos.evidence import Evidence
from ticketing_chaos.history import Deed, Json
from ticketing_chaos.violation import Violation, about, versions_of

CALM = 5.0
"""Seconds without a deed in which an expired order has no excuse left."""

LIVE = ("created", "awaiting:payment", "complete")


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


def each_version_has_one_event(evidence: Evidence) -> Iterator[Violation]:
    """Every version of a ticket and an order is in the stream, with one content; the last says what is."""
    promise = "a change and its event"
    for kind, documents in (("ticket", evidence.tickets), ("order", evidence.orders)):
        versions = versions_of(evidence.events, kind)
        for identity in versions.keys() - documents.keys():
            yield Violation(
                promise, f"events of {kind} {identity}, which is not there", **about(kind, identity)
            )
        for identity, document in documents.items():
            told = versions.get(identity, {})
            concerns = about(kind, identity, document)
            missing = [n for n in range(document["version"] + 1) if n not in told]
            if missing or len(told) > document["version"] + 1:
                what = f"{kind} {identity} is at version {document['version']}, the stream has {sorted(told)}"
                yield Violation(promise, what, **concerns)
            for version, events in told.items():
                if any(event != events[0] for event in events[1:]):
                    yield Violation(promise, f"version {version} of {kind} {identity}: {events}", **concerns)
            last = told.get(document["version"], [("nothing", {})])[0]
            if not _tells(last, document, kind):
                yield Violation(promise, f"the last event of {kind} {identity} says {last}", **concerns)


def _cents(dollars: Any) -> int:
    return round(float(dollars) * 100)


def _tells(last: tuple[str, Json], document: Json, kind: str) -> bool:
    subject, data = last
    if kind == "ticket":
        price, order_id = _cents(data.get("price", 0)), data.get("orderId")
        facts = (data.get("title"), price, data.get("userId"), order_id)
        return facts == tuple(document[f] for f in ("title", "price_cents", "user_id", "order_id"))
    status = {"created": "created", "complete": "completed"}.get(document["status"], document["status"])
    ticket = data.get("ticket", {})
    return subject == f"order.{status}" and ticket["n"] == document["ticket"]["n"]


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
    deeds = sorted(
        (deed for deed in evidence.history.deeds if deed.may_delay_expiry), key=lambda deed: deed.begun
    )
    for order_id, order in evidence.orders.items():
        at = _calm_after(order["expires_at"].timestamp(), deeds)
        if decided.get(order_id, float("inf")) > at and (order["status"] == "created" or order_id in decided):
            late = decided.get(order_id, time.time()) - order["expires_at"].timestamp()
            what = f"order {order_id} is {order['status']}; it was live {late:.1f} s past its expiry"
            yield Violation("an order not paid for in time is over", what, order["ticket"]["id"], order_id)


def _calm_after(moment: float, deeds: list[Deed]) -> float:
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
