"""What happened, in order: every request with its answer, and everything that was done to the market."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request and what came of it. Times are seconds since the epoch."""

    who: str
    begun: float
    ended: float
    method: str
    path: str
    body: Json | None
    key: str | None = None
    """The Idempotency-Key that it was sent with."""
    status: int | None
    """None: no answer came, so whether it was done is unknown."""
    answer: Any
    request_id: str | None = None
    """By which the logs know it."""

    @property
    def is_done(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_in_doubt(self) -> bool:
        """Cut off, or the service lost sight of its store: it may be done or not."""
        return self.status in (None, 503)

    @property
    def may_be_done(self) -> bool:
        return self.is_in_doubt or self.is_done

    @property
    def is_read(self) -> bool:
        return self.method == "GET"

    def aggregates(self) -> Iterator[Json]:
        """The tickets and orders that the answer shows."""
        if self.is_done and isinstance(self.answer, list):
            yield from self.answer
        elif self.is_done and isinstance(self.answer, dict) and "version" in self.answer:
            yield self.answer


@dataclass(frozen=True, kw_only=True)
class Deed:
    """What was done to the market, and how long it took until a purchase went through again."""

    begun: float
    ended: float
    """When all parts ran again."""
    what: str
    recovered_in: float | None
    """Seconds after `ended`; None: nobody waited for it."""
    may_delay_expiry: bool = True
    """Whether orders may expire late because of it."""


@dataclass
class History:
    calls: list[Call] = field(default_factory=list)
    deeds: list[Deed] = field(default_factory=list)
    _shown: dict[tuple[Any, ...], Json] = field(default_factory=dict, repr=False)

    def share(self, answer: Any) -> Any:
        """The same answer, but a ticket that an earlier list showed alike is kept in memory only once."""
        if not isinstance(answer, list):
            return answer
        return [self._shown.setdefault(tuple(each.items()), each) for each in answer]

    def write(self, path: Path) -> None:
        """One line of JSON each, in the order of their beginnings."""
        everything: list[Call | Deed] = sorted([*self.calls, *self.deeds], key=lambda each: each.begun)
        with path.open("w") as file:
            file.writelines(json.dumps(asdict(each)) + "\n" for each in everything)
