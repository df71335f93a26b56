"""A counterexample to an invariant: requests and events of one ticket, and faults meanwhile."""

from datetime import UTC, datetime

from ticketing_chaos.history import Request
from ticketing_chaos.snapshot import Snapshot, Violation

_MAX_LINES = 60


def describe(snapshot: Snapshot, violation: Violation) -> list[str]:
    """The violation, and its history in order of time."""
    about = violation.about or ""
    ids = {about, *(order["_id"] for order in snapshot.orders_by_ticket().get(about, []))}
    ids = {about, *ids, snapshot.orders.get(about, {}).get("ticket", {}).get("id")} - {"", None}
    lines = _describe_requests(snapshot.history.requests, ids)
    for event in snapshot.events:
        data = event.data
        if ids & {data.get("id"), data.get("orderId"), data.get("ticket", {}).get("id")}:
            lines.append((event.at.timestamp(), f"event      {event.subject} {data}"))
    start, end = min(lines, default=(0, ""))[0] - 1, max(lines, default=(0, ""))[0] + 1
    for fault in snapshot.history.faults:
        if fault.ended_at > start and fault.started_at < end:
            duration = fault.ended_at - fault.started_at
            lines.append((fault.started_at, f"fault      {fault.description}, {duration:.1f} s"))
    shown = [f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f}  {line}" for at, line in sorted(lines)]
    hidden = [f"... and {len(shown) - _MAX_LINES} more"] if shown[_MAX_LINES:] else []
    return [violation.description, *shown[:_MAX_LINES], *hidden]


def _describe_requests(requests: list[Request], ids: set[str]) -> list[tuple[float, str]]:
    """The requests about these ids, without rejected ones and reads that show nothing new."""
    lines: list[tuple[float, str]] = []
    seen: set[tuple[str, int]] = set()
    for each in sorted(requests, key=lambda request: request.started_at):
        if not any(identity in f"{each.path} {each.body} {each.response}" for identity in ids):
            continue
        shown = {(document["id"], document["version"]) for document in each.documents()}
        shown = {version for version in shown if version[0] in ids} - seen
        seen |= shown
        if shown or (each.method != "GET" and each.may_have_succeeded):
            response = "a page" if isinstance(each.response, list) else each.response
            sent = f"{each.user:10} {each.method} {each.path} {each.body or ''} {each.key or ''}"
            duration = f"{1000 * (each.ended_at - each.started_at):.0f} ms"
            lines.append((each.started_at, f"{sent} -> {each.status} {response} ({duration})"))
    return lines
