"""Invariants of the responses, compared with what is stored and with each other."""

from collections import defaultdict, deque
from collections.abc import Iterator

from bson import ObjectId

from ticketing_chaos.history import Request
from ticketing_chaos.invariants.stored import has_state
from ticketing_chaos.snapshot import Snapshot, Violation


def acknowledged_writes_are_kept(snapshot: Snapshot) -> Iterator[Violation]:
    """The effect of every 2xx is there: accounts, tickets, edits, orders, payments, refunds."""
    payments = {payment["_id"] for payment in snapshot.payments.values()}
    for request in snapshot.history.requests:
        if not request.succeeded or request.method == "GET":
            continue
        response, body = request.response, request.body or {}
        match request.method, request.path.split("/")[2:]:
            case "POST", ["users", "signup"]:
                about, is_kept = None, response["id"] in snapshot.accounts
            case "POST", ["tickets"]:
                about, is_kept = response["id"], response["id"] in snapshot.tickets
            case "PUT", ["tickets", about]:
                ticket = snapshot.tickets.get(about, {"version": -1})
                is_kept = ticket["version"] >= response["version"]
            case "POST", ["orders"]:
                about, is_kept = response["id"], response["id"] in snapshot.orders
            case ("DELETE", ["orders", about]) | ("POST", ["orders", about, "refund"]):
                status = "cancelled" if request.method == "DELETE" else "refunded"
                is_kept = snapshot.orders.get(about, {}).get("status") == status
            case "POST", ["payments"]:
                about, is_kept = body["orderId"], response["id"] in payments
            case _:
                continue
        if not is_kept:
            yield Violation(f"{_summarize(request)}, and it is lost", about)


def errors_are_expected(snapshot: Snapshot) -> Iterator[Violation]:
    """There is no server error but 503, and no session is lost."""
    for request in snapshot.history.requests:
        status = request.status or 0
        if (status >= 500 and status != 503) or status in (401, 403):
            yield Violation(f"{_summarize(request)}, request id {request.request_id}")


def responses_show_published_versions(snapshot: Snapshot) -> Iterator[Violation]:
    events = {kind: snapshot.events_by_version(kind) for kind in ("ticket", "order")}
    for request in snapshot.history.requests:
        kind = "ticket" if "/tickets" in request.path else "order"
        for shown in request.documents():
            event = events[kind].get(shown["id"], {}).get(shown["version"], [None])[0]
            if not has_state(event, kind, shown):
                yield Violation(f"{request.path} showed {shown}, the event is {event}", shown["id"])


def reads_never_go_back(snapshot: Snapshot) -> Iterator[Violation]:
    """A request that starts after a response shows the version of that response or a later one.

    Requests with a key do not count: a repeated one returns its first response.
    """
    reads: dict[str, list[tuple[Request, int]]] = defaultdict(list)
    for request in snapshot.history.requests:
        for shown in () if request.key else request.documents():
            reads[shown["id"]].append((request, shown["version"]))
    for identity, found in reads.items():
        newest, ended = 0, deque(sorted((request.ended_at, version) for request, version in found))
        for request, version in sorted(found, key=lambda read: read[0].started_at):
            while ended and ended[0][0] < request.started_at:
                newest = max(newest, ended.popleft()[1])
            if version < newest:
                description = f"{request.user} saw version {version} of {identity} after version {newest}"
                yield Violation(description, identity)


def known_documents_are_found(snapshot: Snapshot) -> Iterator[Violation]:
    """No 404 after a response showed the document, or the stream had the event of its creation."""
    known_since = {
        event.data["id"]: event.at.timestamp()
        for event in snapshot.events
        if event.subject in ("ticket.created", "order.created")
    }
    for request in snapshot.history.requests:
        for shown in request.documents():
            known_since[shown["id"]] = min(known_since.get(shown["id"], request.ended_at), request.ended_at)
    for request in snapshot.history.requests:
        for identity in _requested_ids(request) if request.status == 404 else ():
            age = request.started_at - known_since.get(identity, float("inf"))
            if age > 0:
                yield Violation(f"{_summarize(request)}, {age:.1f} s after {identity} was known", identity)


def _requested_ids(request: Request) -> Iterator[str]:
    """The ids of the tickets and orders without which this request is answered with 404."""
    match request.method, request.path.split("/")[2:]:
        case "GET", ["orders", _, "refund"]:
            return  # 404 also for an existing order without a refund
        case _, ["tickets" | "orders", identity, *_] if ObjectId.is_valid(identity):
            yield identity
        case "GET", ["orders", "holds", ticket_id]:
            yield ticket_id
    for name in ("ticketId", "orderId"):
        if request.body and name in request.body:
            yield request.body[name]


def _summarize(request: Request) -> str:
    return f"{request.method} {request.path} {request.body or ''}: {request.status} {request.response}"
