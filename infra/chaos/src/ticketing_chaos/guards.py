"""The guards of the invariants, and how to disable each of them for a negative control.

A negative control shows that the checks can find a violation. `patched.py` disables the guard in a service's
process before the service starts.
"""

import asyncio
import pkgutil
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

_CONSUMERS = ("tickets", "orders", "payments", "expiration")
_PUBLISHERS = ("tickets", "orders", "payments")

Disable = Callable[[], None]
Faults = Sequence[tuple[str, str]]  # processes and kinds


@dataclass(frozen=True)
class Guard:
    description: str
    services: tuple[str, ...]
    disable: Disable  # called in the process of the service
    faults: Faults  # those that show its absence; none: the users suffice
    replicas: int  # of each service


GUARDS: dict[str, Guard] = {}


def _guard(*services: str, faults: Faults = (), replicas: int = 1) -> Callable[[Disable], Disable]:
    """Register the guard in the docstring of the function that disables it, by the function's name."""

    def register(disable: Disable) -> Disable:
        name = disable.__name__.replace("_", "-")
        GUARDS[name] = Guard(disable.__doc__ or "", services, disable, faults, replicas)
        return disable

    return register


def _patch(target: str) -> Callable[[Callable[..., Any]], None]:
    """Replace `module.function` or `module:Class.method`. The replacement gets the original first."""
    path, _, name = target.rpartition(".")
    owner = pkgutil.resolve_name(path)
    original = getattr(owner, name)

    def patch(new: Callable[..., Any]) -> None:
        setattr(owner, name, lambda *arguments, **options: new(original, *arguments, **options))

    return patch


def _wait_until_stopping(*arguments: Any) -> Awaitable[object]:
    """In place of a background task."""
    stopping: asyncio.Event = arguments[-1]
    return stopping.wait()


@_guard("orders")
def claim() -> None:
    """The unique index on (ticket, n)."""
    _patch("orders.repository.IndexModel")(lambda index, *keys, **o: index(*keys, **o | {"unique": False}))


@_guard(*_PUBLISHERS)
def compare_and_set() -> None:
    """An update names the version that was read."""

    @_patch("motor.motor_asyncio:AsyncIOMotorCollection.update_one")
    async def update_any_version(
        update: Any, self: Any, criteria: Any, *arguments: Any, **options: Any
    ) -> Any:
        await asyncio.sleep(random.uniform(0, 0.02))  # makes conflicts more likely
        criteria = {name: value for name, value in criteria.items() if name != "version"}
        return await update(self, criteria, *arguments, **options)


@_guard("orders", "payments")
def versions() -> None:
    """A consumer accepts the next version only."""
    _delay_events(acknowledge_first=False)
    _patch("ticketing_common.storage.documents.is_next_version")(lambda *_: True)
    _patch("payments.payment.models.is_next_version")(lambda *_: True)

    @_patch("ticketing_common.storage.documents:Documents.replace_if_newer")
    async def replace_any(_: Any, self: Any, aggregate: Any) -> Any:
        before = await self.find(id=aggregate.id)
        await self.collection.update_one({"_id": aggregate.id}, {"$set": self._dump(aggregate)}, upsert=True)
        return before


@_guard("tickets")
def fencing() -> None:
    """The order with the highest n wins."""
    _delay_events(acknowledge_first=False)
    _patch("tickets.models.apply_order")(
        lambda _, ticket, order_id, n, live: ticket.evolve(order_id=order_id if live else None, order_n=n)
    )


@_guard(*_PUBLISHERS, faults=[("nats", "kill")])
def sweep() -> None:
    """The relay sweeps for events that a crash left."""
    _patch("ticketing_common.messaging.relay:Relay._sweep_all")(_wait_until_stopping)


@_guard(*_CONSUMERS, faults=[("tickets", "kill"), ("orders", "kill"), ("payments", "kill")])
def acknowledgement() -> None:
    """An event is acknowledged after it is handled."""
    _delay_events(acknowledge_first=True)


def _delay_events(*, acknowledge_first: bool) -> None:
    """Handle events late, which makes reordering and loss more likely."""

    @_patch("ticketing_common.messaging.listener:Listener._deliver")
    async def deliver_late(deliver: Any, self: Any, message: Any) -> None:
        if acknowledge_first:
            await message.ack()
        await asyncio.sleep(random.uniform(0, 0.5))
        await deliver(self, message)


@_guard(*_PUBLISHERS, faults=[("nats", "freeze-and-kill")])
def publish() -> None:
    """An event leaves the outbox after the stream has stored it."""
    header = "Nats-Msg-Id"
    _patch("ticketing_common.messaging.bus:Bus.publish_raw")(
        lambda _, bus, subject, data, event_id, *__: bus._client.publish(
            subject, data, headers={header: event_id}
        )
    )


@_guard(*_PUBLISHERS, faults=[("mongod", "kill")])
def journal() -> None:
    """A write is acknowledged after it is journalled."""
    patch = _patch("ticketing_common.storage.mongo.MongoClient")
    patch(lambda connect, uri, **options: connect(uri, **options | {"w": 1, "journal": False}))


@_guard("expiration", "worker", faults=[("redis", "wipe")])
def ledger() -> None:
    """Orders expire by the ledger if Redis loses their jobs."""
    _patch("expiration.job_sync.add_missing_jobs")(lambda *_: asyncio.sleep(0))
    _patch("expiration.jobs:Publisher.publish_overdue")(_wait_until_stopping)


@_guard("payments")
def capture() -> None:
    """A payment is captured last."""

    @_patch("payments.stripe.client:StripeApi.confirm")
    async def confirm_and_capture(confirm: Any, self: Any, intent_id: str, token: str) -> Any:
        seen = await confirm(self, intent_id, token)
        return await self.capture(intent_id) if seen.status == "authorised" else seen


@_guard("payments")
def idempotency() -> None:
    """A repeated call to Stripe has the same key."""
    _patch("payments.stripe.client:StripeApi.create")(
        lambda create, api, new: create(api, replace(new, idempotency_key=str(random.random())))
    )


@_guard("auth", "tickets", "orders")
def keys() -> None:
    """An Idempotency-Key is stored with its effect."""

    @_patch("ticketing_common.http.middleware:RequestContext.__call__")
    async def handle_without_key(handle: Any, self: Any, scope: Any, *arguments: Any) -> None:
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name != b"idempotency-key"]
            scope = {**scope, "headers": headers}
        await handle(self, scope, *arguments)


@_guard("orders", "payments", faults=[("nats", "freeze")])
def certainty() -> None:
    """Only a service that has caught up answers 404."""
    _patch("ticketing_common.messaging.bus:Bus.is_behind")(lambda *_: asyncio.sleep(0, result=False))


@_guard(*_CONSUMERS, replicas=2)
def filter() -> None:
    """A replica never narrows the filter of its consumer."""
    from ticketing_common.messaging.bus import NATS_UNAVAILABLE, STREAM

    @_patch("ticketing_common.messaging.listener:Listener.run")
    async def run(original: Any, self: Any, stopping: asyncio.Event) -> None:
        keeping = asyncio.create_task(keep_own_filter(self._bus, self._bus.name, sorted(self._handlers)))
        await original(self, stopping)
        keeping.cancel()

    async def keep_own_filter(bus: Any, service: str, subjects: list[str]) -> None:
        while True:
            await asyncio.sleep(0.5)
            try:
                config = (await bus.js.consumer_info(STREAM.name, service)).config
                if sorted(config.filter_subjects or []) != subjects:
                    await bus.js.add_consumer(STREAM.name, replace(config, filter_subjects=subjects))
            except NATS_UNAVAILABLE:
                continue


@_guard("payments")
def settlement() -> None:
    """Stripe is brought in line with the order."""
    _patch("payments.settlement.worker.run")(_wait_until_stopping)
