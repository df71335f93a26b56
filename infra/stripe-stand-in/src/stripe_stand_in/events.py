"""Owns the Event: what is told of a change, written in the same transaction as the change itself."""

import random
from dataclasses import dataclass

from stripe_stand_in.errors import Json
from stripe_stand_in.ids import new_id
from stripe_stand_in.store import Store

DELIVER = "deliver"
API_VERSION = "2026-10-28.endive"


@dataclass
class Telling:
    """How events are delivered. Tests change it while the server runs."""

    wanted: bool
    """There is somebody to deliver to."""
    duplicates: int = 0
    """How many times more than once each event is delivered."""
    disorder_seconds: float = 0
    """Each delivery waits a random time up to this."""
    held: bool = False
    """Nothing is delivered."""


@dataclass(frozen=True)
class Cause:
    """Who changed something: an API call, or nobody."""

    request_id: str | None = None
    idempotency_key: str | None = None


def tell(store: Store, telling: Telling, kind: str, body: Json, cause: Cause, now: float) -> None:
    event_id = new_id("evt_")
    event = {
        "id": event_id,
        "object": "event",
        "api_version": API_VERSION,
        "created": int(now),
        "data": {"object": body},
        "livemode": False,
        "pending_webhooks": int(telling.wanted),
        "request": {"id": cause.request_id, "idempotency_key": cause.idempotency_key},
        "type": kind,
    }
    store.insert(event, links=[kind])
    if telling.wanted:
        for _ in range(telling.duplicates + 1):
            due = now + random.uniform(0, telling.disorder_seconds)
            store.put_chore(due, DELIVER, event_id, now)
