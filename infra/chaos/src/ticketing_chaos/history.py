"""The history of an experiment: every request with its response, and every injected fault."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request and its response. Times are in seconds since the epoch."""

    user: str
    started_at: float
    ended_at: float
    method: str
    path: str
    body: Json | None
    key: str | None = None  # the Idempotency-Key
    status: int | None  # None: there was no response
    response: Any
    request_id: str | None = None  # finds the request in the logs

    @property
    def succeeded(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_outcome_unknown(self) -> bool:
        """The connection broke, or the service lost its store: the request may have taken effect."""
        return self.status in (None, 503)

    @property
    def may_have_succeeded(self) -> bool:
        return self.is_outcome_unknown or self.succeeded

    def documents(self) -> Iterator[Json]:
        """The tickets or orders in the response."""
        if self.succeeded and isinstance(self.response, list):
            yield from self.response
        elif self.succeeded and isinstance(self.response, dict) and "version" in self.response:
            yield self.response


@dataclass(frozen=True)
class Fault:
    """An injected fault or a rolling update."""

    started_at: float
    ended_at: float  # when all processes were running again
    description: str
    recovered_in: float | None  # seconds from `ended_at` to a successful purchase; None: not measured
    may_delay_expiry: bool = True  # whether it may make orders expire late


@dataclass
class History:
    requests: list[Request] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write JSON lines in order of time."""
        entries: list[Request | Fault] = [*self.requests, *self.faults]
        entries.sort(key=lambda entry: entry.started_at)
        path.write_text("".join(json.dumps(asdict(entry)) + "\n" for entry in entries))
