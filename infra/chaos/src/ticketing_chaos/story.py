"""The shortest history of a violation: what was done to one ticket, and what went on meanwhile."""

from datetime import UTC, datetime

from ticketing_chaos.evidence import Evidence
from ticketing_chaos.history import Call
from ticketing_chaos.violation import Violation

_LONGEST = 60


def shortest(evidence: Evidence, found: list[Violation]) -> list[str]:
    """Of the violations, the one that takes the fewest lines to tell, told."""
    stories = [tell(evidence, violation) for violation in found]
    return min(stories, key=len, default=[])


def tell(evidence: Evidence, violation: Violation) -> list[str]:
    """Its calls, but for those that changed and showed nothing new; its events; the deeds meanwhile."""
    ids = _ids(evidence, violation)
    lines = [(call.begun, _line(call)) for call in _telling(evidence.history.calls, ids)]
    lines += [
        (event.at.timestamp(), f"event      {event.subject} {event.data}")
        for event in evidence.events
        if ids & {event.data.get("id"), event.data.get("orderId"), event.data.get("ticket", {}).get("id")}
    ]
    if lines:
        first, last = min(lines)[0], max(lines)[0]
        lines += [
            (deed.begun, f"saboteur   {deed.what}, for {deed.ended - deed.begun:.1f} s")
            for deed in evidence.history.deeds
            if deed.ended > first - 1 and deed.begun < last + 1
        ]
    told = [f"{datetime.fromtimestamp(at, UTC):%H:%M:%S.%f}  {line}" for at, line in sorted(lines)]
    return [
        str(violation),
        *told[:_LONGEST],
        *([f"... and {len(told) - _LONGEST} more"] if told[_LONGEST:] else []),
    ]


def _ids(evidence: Evidence, violation: Violation) -> set[str]:
    """Those of the ticket and its orders; where it is about one order, of that one alone."""
    ids = {each for each in (violation.ticket_id, violation.order_id) if each}
    if violation.ticket_id and not violation.order_id:
        ids |= {i for i, o in evidence.orders.items() if o["ticket"]["id"] == violation.ticket_id}
    return ids


def _telling(calls: list[Call], ids: set[str]) -> list[Call]:
    chosen: list[Call] = []
    seen: set[tuple[str, int]] = set()
    for call in sorted(calls, key=lambda call: call.begun):
        text = f"{call.path} {call.body} {call.answer}"
        if not any(identity in text for identity in ids):
            continue
        if call.is_read and isinstance(call.answer, list | dict):
            shown = {(each["id"], each["version"]) for each in call.aggregates() if each["id"] in ids}
            if not shown - seen:
                continue
            seen |= shown
        elif not call.may_be_done:
            continue
        chosen.append(call)
    return chosen


def _line(call: Call) -> str:
    answer = "a page" if isinstance(call.answer, list) else call.answer
    took = f"{1000 * (call.ended - call.begun):.0f} ms"
    key = f" key {call.key}" if call.key else ""
    return (
        f"{call.who:10} {call.method} {call.path} {call.body or ''}{key} -> {call.status} {answer} ({took})"
    )
