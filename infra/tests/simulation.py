"""Runs the services' own coroutines one step at a time, on collections in memory and with a clock of its own.

Every call to a store or to Stripe is a step: between any two of them somebody else may take a turn, and the
process may die at each. So a test decides every interleaving, and can repeat it.
"""

import functools
import types
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, Self, cast
from unittest.mock import patch

import structlog
from pydantic import ConfigDict, TypeAdapter
from pymongo.errors import DuplicateKeyError

from ticketing_common.messaging.arrivals import Arrivals


@types.coroutine
def pause() -> Generator[None, Any, Any]:
    """Wait for one's turn; returns what the step was told of the network, None when all is well."""
    return (yield)


class Process:
    """Something under way in a service: a request, an event's handler, a sweep."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self._begun = False

    def step(self, trouble: str | None = None) -> bool:
        """Go on to the next call; returns whether there is one. Raises what the work raises."""
        try:
            self._work.send(trouble if self._begun else None)
        except StopIteration:
            return False
        self._begun = True
        return True

    def kill(self) -> None:
        self._work.close()


class Collection:
    """The calls that Documents makes, each of which happens at once or not at all."""

    def __init__(self, unique: tuple[str, ...], written: Callable[[dict[str, Any]], None]) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self._unique = unique
        self._written = written

    def with_options(self, **_: object) -> Self:
        return self

    async def find_one(
        self, criteria: dict[str, Any], projection: object = None, sort: list[tuple[str, int]] | None = None
    ) -> dict[str, Any] | None:
        await pause()
        found = [d for d in self.documents.values() if fits(d, criteria)]
        for name, direction in sort or []:
            found.sort(key=lambda d: _value(d, name), reverse=direction < 0)
        return {k: v for k, v in found[0].items() if k != "outbox"} if found else None

    async def insert_one(self, document: dict[str, Any]) -> None:
        await pause()
        claim = {name: _value(document, name) for name in self._unique}
        if document["_id"] in self.documents or (
            claim and any(fits(d, claim) for d in self.documents.values())
        ):
            raise DuplicateKeyError("taken")
        self._keep(document)
        await pause()  # what dies here has written, and does not know it

    async def update_one(
        self, criteria: dict[str, Any], update: dict[str, Any], upsert: bool = False
    ) -> SimpleNamespace:
        await pause()
        before = next((d for d in self.documents.values() if fits(d, criteria)), criteria if upsert else None)
        if before is not None:
            told = update.get("$push", {}).get("outbox", {}).get("$each", [])
            self._keep(before | update.get("$setOnInsert", {}) | update.get("$set", {}) | {"outbox": told})
        await pause()
        return SimpleNamespace(matched_count=int(before is not None))

    async def update_many(self, criteria: dict[str, Any], update: dict[str, Any]) -> None:
        await pause()
        for document in [d for d in self.documents.values() if fits(d, criteria)]:
            self._keep(document | update["$set"] | {"outbox": []})
        await pause()

    async def find_one_and_update(
        self,
        criteria: dict[str, Any],
        update: dict[str, Any],
        projection: object = None,
        upsert: bool = False,
    ) -> dict[str, Any] | None:
        """Returns the document before."""
        await pause()
        before = next((d for d in self.documents.values() if fits(d, criteria)), None)
        if before is None and upsert and criteria["_id"] in self.documents:
            raise DuplicateKeyError("taken")
        if before is not None or upsert:
            self._keep((before or {}) | update["$set"])
        await pause()
        return before and dict(before)

    def _keep(self, document: dict[str, Any]) -> None:
        self.documents[document["_id"]] = document
        self._written(document)


def _value(document: dict[str, Any], name: str) -> Any:
    for key in name.split("."):
        document = document.get(key)  # type: ignore[assignment]
    return document


def fits(document: dict[str, Any], criteria: dict[str, Any]) -> bool:
    return all(_fits_one(document, name, wanted) for name, wanted in criteria.items())


def _fits_one(document: dict[str, Any], name: str, wanted: Any) -> bool:
    if name == "$or":
        return any(fits(document, each) for each in wanted)
    if isinstance(wanted, dict) and "$exists" in wanted:  # an outbox here is never so long
        return not wanted["$exists"]
    if isinstance(wanted, dict) and "$lt" in wanted:
        return bool(_value(document, name) < wanted["$lt"])
    return bool(_value(document, name) == wanted)


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def pass_by(self, duration: timedelta) -> None:
        self.time += duration


_ASK_THE_TIME = (
    "orders.handlers",
    "expiration.handlers",
    "orders.use_cases",
    "payments.payment.use_cases",
    "payments.settlement.use_cases",
    "payments.webhooks.repository",
    "payments.webhooks.use_cases",
)


@contextmanager
def simulated(clock: Clock, alarm: Callable[..., None]) -> Iterator[None]:
    """Takes from the services what only a running event loop gives: the time, and waiting for it."""
    with ExitStack() as stack:
        for module in _ASK_THE_TIME:
            stack.enter_context(patch(f"{module}.now", clock.now))
        for module in ("payment", "settlement", "webhooks"):
            stack.enter_context(patch(f"payments.{module}.use_cases.report_disagreement", alarm))
        # Who lost a race waits some milliseconds; here it is whenever its next turn comes.
        stack.enter_context(
            patch("ticketing_common.storage.documents.random", SimpleNamespace(uniform=lambda *_: 0))
        )
        # What an event may still be bringing is not waited for: a test lets people come early or late.
        stack.enter_context(patch.object(Arrivals, "find_or_wait", _find))
        stack.enter_context(patch.object(Arrivals, "notify", _nothing))
        stack.enter_context(patch("ticketing_common.storage.documents.TypeAdapter", _adapter))
        stack.enter_context(structlog.testing.capture_logs())
        yield


async def _find(_arrivals: object, _identity: str, look: Callable[[], Any], **_: object) -> Any:
    return await look()


def _adapter(kind: Any, *, config: ConfigDict) -> TypeAdapter[Any]:
    return _cached_adapter(kind, tuple(config.items()))


@functools.cache
def _cached_adapter(kind: Any, config: tuple[tuple[str, Any], ...]) -> TypeAdapter[Any]:
    """Made once, not for every market."""
    return TypeAdapter(kind, config=cast("ConfigDict", dict(config)))


async def _nothing(*_: object) -> None:
    pass
