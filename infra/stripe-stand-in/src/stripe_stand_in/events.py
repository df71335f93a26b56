"""Records an event for each change, in the transaction of the change, and schedules its delivery."""

import random
import time
from dataclasses import dataclass

from pydantic import BaseModel, Field

from stripe_stand_in.errors import Json
from stripe_stand_in.objects import new_object
from stripe_stand_in.store import Store

DELIVER = "deliver"


class DeliverySettings(BaseModel, extra="forbid", strict=True):
    """How events are delivered. Tests change it while the server runs."""

    duplicates: int = Field(default=0, ge=0)
    """How many additional times each event is delivered."""
    disorder_seconds: float = Field(default=0, ge=0)
    """Each delivery is delayed by a random time up to this."""
    held: bool = False
    """Nothing is delivered."""


@dataclass(frozen=True)
class Cause:
    """The API call that made a change; empty if the stand-in made it by itself."""

    request_id: str | None = None
    idempotency_key: str | None = None


class EventLog:
    def __init__(self, store: Store, *, has_webhook: bool) -> None:
        self.delivery = DeliverySettings()
        self._store = store
        self._has_webhook = has_webhook

    def record(self, kind: str, body: Json, cause: Cause) -> None:
        now = time.time()
        event = new_object(
            "event",
            int(now),
            data={"object": body},
            pending_webhooks=int(self._has_webhook),
            request={"id": cause.request_id, "idempotency_key": cause.idempotency_key},
            type=kind,
        )
        self._store.insert(event, link=kind)
        if self._has_webhook:
            for _ in range(self.delivery.duplicates + 1):
                due = now + random.uniform(0, self.delivery.disorder_seconds)
                self._store.add_chore(due, DELIVER, event["id"], now)
