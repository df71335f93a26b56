"""Runs coroutines of the services one step at a time, on collections in memory and with a simulated clock.

Every call to a store or to Stripe is a step. Between two steps another task may run, or the task may die. So
a test decides every interleaving and can repeat it.
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
    """Ends a step. Returns the network fault of the next one, None if there is none."""
    return (yield)


class Task:
    """A request, the handler of an event or a background job, between two of its steps."""

    def __init__(self, work: Coroutine[Any, Any, Any]) -> None:
        self._work = work
        self._has_started = False

    def step(self, fault: str | None = None) -> bool:
        """Runs until the next call. Returns whether there is one. Raises what the work raises."""
        try:
            self._work.send(fault if self._has_started else None)
        except StopIteration:
            return False
        self._has_started = True
        return True

    def kill(self) -> None:
        self._work.close()


class Collection:
    """The methods of a MongoDB collection that Documents calls. Each write is atomic.

    `unique` are the fields of a unique index. `on_write` is called with every written document.
    """

    def __init__(self, unique: tuple[str, ...], on_write: Callable[[dict[str, Any]], None]) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self._unique = unique
        self._on_write = on_write

    def with_options(self, **_: object) -> Self:
        return self

    async def find_one(
        self, criteria: dict[str, Any], projection: object = None, sort: list[tuple[str, int]] | None = None
    ) -> dict[str, Any] | None:
        await pause()
        found = [d for d in self.documents.values() if matches(d, criteria)]
        for name, direction in sort or []:
            found.sort(key=lambda d: _value(d, name), reverse=direction < 0)
        return {k: v for k, v in found[0].items() if k != "outbox"} if found else None

    async def insert_one(self, document: dict[str, Any]) -> None:
        await pause()
        indexed = {name: _value(document, name) for name in self._unique}
        if document["_id"] in self.documents or (
            indexed and any(matches(d, indexed) for d in self.documents.values())
        ):
            raise DuplicateKeyError("duplicate")
        self._write(document)
        await pause()  # a task that dies here does not learn that the write took effect

    async def update_one(
        self, criteria: dict[str, Any], update: dict[str, Any], upsert: bool = False
    ) -> SimpleNamespace:
        await pause()
        before = self._find(criteria) or (criteria if upsert else None)
        if before is not None:
            fields = update.get("$setOnInsert", {}) | update.get("$set", {})
            entries = update.get("$push", {}).get("outbox", {}).get("$each", [])
            self._write(before | fields | {"outbox": entries})
        await pause()
        return SimpleNamespace(matched_count=int(before is not None))

    async def update_many(self, criteria: dict[str, Any], update: dict[str, Any]) -> None:
        await pause()
        for document in [d for d in self.documents.values() if matches(d, criteria)]:
            self._write(document | update["$set"] | {"outbox": []})
        await pause()

    async def find_one_and_update(
        self,
        criteria: dict[str, Any],
        update: dict[str, Any],
        projection: object = None,
        upsert: bool = False,
    ) -> dict[str, Any] | None:
        """Returns the document as it was before."""
        await pause()
        before = self._find(criteria)
        if before is None and upsert and criteria["_id"] in self.documents:
            raise DuplicateKeyError("duplicate")
        if before is not None or upsert:
            self._write((before or {}) | update["$set"])
        await pause()
        return before and dict(before)

    def _find(self, criteria: dict[str, Any]) -> dict[str, Any] | None:
        return next((d for d in self.documents.values() if matches(d, criteria)), None)

    def _write(self, document: dict[str, Any]) -> None:
        self.documents[document["_id"]] = document
        self._on_write(document)


def _value(document: dict[str, Any], name: str) -> Any:
    for key in name.split("."):
        document = document.get(key)  # type: ignore[assignment]
    return document


def matches(document: dict[str, Any], criteria: dict[str, Any]) -> bool:
    return all(_field_matches(document, name, expected) for name, expected in criteria.items())


def _field_matches(document: dict[str, Any], name: str, expected: Any) -> bool:
    if name == "$or":
        return any(matches(document, each) for each in expected)
    if isinstance(expected, dict) and "$exists" in expected:  # the outbox never reaches its limit here
        return not expected["$exists"]
    if isinstance(expected, dict) and "$lt" in expected:
        return bool(_value(document, name) < expected["$lt"])
    return bool(_value(document, name) == expected)


class Clock:
    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def advance(self, duration: timedelta) -> None:
        self.time += duration


_MODULES_WITH_CLOCK = (
    "orders.handlers",
    "expiration.handlers",
    "orders.use_cases",
    "payments.payment.use_cases",
    "payments.settlement.use_cases",
    "payments.webhooks.repository",
    "payments.webhooks.use_cases",
)


@contextmanager
def patched_services(clock: Clock, on_disagreement: Callable[..., None]) -> Iterator[None]:
    """Replaces what depends on the time or on an event loop in the modules of the services."""
    with ExitStack() as stack:
        for module in _MODULES_WITH_CLOCK:
            stack.enter_context(patch(f"{module}.now", clock.now))
        for module in ("payment", "settlement", "webhooks"):
            stack.enter_context(patch(f"payments.{module}.use_cases.report_disagreement", on_disagreement))
        # No delay before the next attempt of a compare-and-set: the test decides when the task continues.
        stack.enter_context(
            patch("ticketing_common.storage.documents.random", SimpleNamespace(uniform=lambda *_: 0))
        )
        # No wait for events in flight: the test decides when they arrive.
        stack.enter_context(patch.object(Arrivals, "find_or_wait", _find))
        stack.enter_context(patch.object(Arrivals, "notify", _do_nothing))
        stack.enter_context(patch("ticketing_common.storage.documents.TypeAdapter", _make_adapter))
        stack.enter_context(structlog.testing.capture_logs())
        yield


async def _find(_arrivals: object, _identity: str, find: Callable[[], Any], **_: object) -> Any:
    return await find()


async def _do_nothing(*_: object) -> None:
    pass


def _make_adapter(kind: Any, *, config: ConfigDict) -> TypeAdapter[Any]:
    return _cached_adapter(kind, tuple(config.items()))


@functools.cache
def _cached_adapter(kind: Any, config: tuple[tuple[str, Any], ...]) -> TypeAdapter[Any]:
    """Building one takes longer than a whole simulation."""
    return TypeAdapter(kind, config=cast("ConfigDict", dict(config)))
