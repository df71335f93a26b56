"""What the checks have in common: a broken promise, and the events of each version."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

from ticketing_chaos.evidence import Event
from ticketing_chaos.history import Json


@dataclass(frozen=True)
class Violation:
    promise: str
    what: str
    ticket_id: str | None = None
    order_id: str | None = None

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"


def versions_of(events: list[Event], kind: str) -> dict[str, dict[int, list[tuple[str, Json]]]]:
    found: dict[str, dict[int, list[tuple[str, Json]]]] = defaultdict(lambda: defaultdict(list))
    for event in events:
        if event.aggregate == kind:
            found[event.data["id"]][event.data["version"]].append((event.subject, event.data))
    return found


def about(kind: str, identity: str, document: Json | None = None) -> dict[str, Any]:
    if kind == "ticket":
        return {"ticket_id": identity}
    return {"order_id": identity, "ticket_id": document["ticket"]["id"] if document else None}
