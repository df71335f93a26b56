"""The guards of the promises, each with the way to switch it off, for the negative control alone.

A run in which a guard is off must make the checker fail; a checker that passes it could not see what the
guard is there for. The services know nothing of this: `altered.py` changes them from outside as they start.
"""

import asyncio
import importlib
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a service that starts does not need what the deeds need
    from ticketing_chaos.deeds import Means


@dataclass(frozen=True)
class Guard:
    what: str
    """What keeps the promise, as a sentence about the code."""
    services: tuple[str, ...]
    off: Callable[[], None]
    """Called in the service's process before it starts."""
    attacks: "tuple[tuple[str, Means], ...]" = ()
    """What brings it out; nothing: the crowd alone."""
    replicas: int = 1
    """How many of each service it takes."""


def _replace(where: str, name: str, by: Any) -> None:
    """`where`: a module, or a class in it after a colon."""
    module, _, kind = where.partition(":")
    owner = importlib.import_module(module)
    owner = getattr(owner, kind) if kind else owner
    getattr(owner, name)  # a guard that was renamed is not switched off in silence
    setattr(owner, name, by)


async def _idle(*arguments: Any) -> None:
    stopping: asyncio.Event = arguments[-1]
    await stopping.wait()


def _no_claim() -> None:
    import pymongo

    index = pymongo.IndexModel
    _replace("orders.repository", "IndexModel", lambda keys, **told: index(keys, **{**told, "unique": False}))


def _blind_writes() -> None:
    from motor.motor_asyncio import AsyncIOMotorCollection

    update_one = AsyncIOMotorCollection.update_one

    async def blind(self: Any, criteria: dict[str, Any], *arguments: Any, **options: Any) -> Any:
        await asyncio.sleep(random.uniform(0, 0.02))  # on a slower disk, so that it shows sooner
        return await update_one(
            self, {key: criteria[key] for key in criteria if key != "version"}, *arguments, **options
        )

    _replace("motor.motor_asyncio:AsyncIOMotorCollection", "update_one", blind)


def _any_version() -> None:
    async def keep(self: Any, aggregate: Any) -> Any:
        before = await self.find(id=aggregate.id)
        await self.collection.update_one({"_id": aggregate.id}, {"$set": self._dump(aggregate)}, upsert=True)
        return before

    _replace("ticketing_common.mongo:Documents", "keep_newest", keep)
    _replace("ticketing_common.mongo", "follows", lambda *_: True)
    _replace("payments.models", "follows", lambda *_: True)


def _no_fencing() -> None:
    def follow(ticket: Any, order_id: str, n: int, *, live: bool) -> Any:
        return ticket.evolve(order_id=order_id if live else None, order_n=n)

    _replace("tickets.models", "apply_order", follow)
    _deliver_slowly(acknowledged=False)


def _no_sweep() -> None:
    async def never(_relay: Any, stopping: asyncio.Event) -> None:
        await stopping.wait()

    _replace("ticketing_common.outbox:Relay", "_sweep_for_ever", never)


def _early_acknowledgement() -> None:
    _deliver_slowly(acknowledged=True)


def _deliver_slowly(*, acknowledged: bool) -> None:
    """By a busier service, so that it shows sooner."""
    from ticketing_common.listener import Listener

    deliver = Listener._deliver

    async def deliver_slowly(self: Listener, message: Any) -> None:
        if acknowledged:
            await message.ack()
        await asyncio.sleep(random.uniform(0, 0.5))
        await deliver(self, message)

    _replace("ticketing_common.listener:Listener", "_deliver", deliver_slowly)


def _publish_and_hope() -> None:
    async def publish(self: Any, subject: str, data: bytes, event_id: str, *_: object) -> None:
        await self._client.publish(subject, data, headers={"Nats-Msg-Id": event_id})

    _replace("ticketing_common.jetstream:Bus", "publish_raw", publish)


def _no_journal() -> None:
    from motor.motor_asyncio import AsyncIOMotorClient

    def client(uri: str, **told: Any) -> Any:
        return AsyncIOMotorClient(uri, **{**told, "w": 1, "journal": False})

    _replace("ticketing_common.mongo", "MongoClient", client)


def _trust_redis() -> None:
    async def nothing(_ledger: object, _schedule: object) -> None:
        pass

    _replace("expiration.reconcile", "reschedule", nothing)
    _replace("expiration.jobs:Publisher", "publish_overdue", _idle)


def _capture_at_once() -> None:
    from payments.stripe_api import StripeApi

    confirm = StripeApi.confirm

    async def confirm_and_capture(self: StripeApi, intent_id: str, token: str) -> Any:
        seen = await confirm(self, intent_id, token)
        return await self.capture(intent_id) if seen.status == "authorised" else seen

    _replace("payments.stripe_api:StripeApi", "confirm", confirm_and_capture)


def _new_key_each_time() -> None:
    from payments.stripe_api import StripeApi

    create = StripeApi.create

    async def create_anew(self: StripeApi, payment: Any) -> Any:
        return await create(self, payment.evolve(key_no=random.randrange(10**9)))

    _replace("payments.stripe_api:StripeApi", "create", create_anew)


def _no_settlement() -> None:
    _replace("payments.settlement", "run", _idle)


def _no_keys() -> None:
    from ticketing_common.asgi import RequestContext

    handle = RequestContext.__call__

    async def handle_without_key(self: RequestContext, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            headers = [(name, value) for name, value in scope["headers"] if name != b"idempotency-key"]
            scope = {**scope, "headers": headers}
        await handle(self, scope, receive, send)

    _replace("ticketing_common.asgi:RequestContext", "__call__", handle_without_key)


def _never_behind() -> None:
    async def is_behind(_bus: Any, *_: Any) -> bool:
        return False

    _replace("ticketing_common.jetstream:Bus", "is_behind", is_behind)


def _own_filter() -> None:
    from ticketing_common.jetstream import DOWN, STREAM
    from ticketing_common.listener import Listener

    begin, run = Listener.__init__, Listener.run

    async def write_own_filter(bus: Any, service: str, subjects: list[str]) -> None:
        while True:
            await asyncio.sleep(0.5)
            try:
                told = (await bus.js.consumer_info(STREAM.name, service)).config
                if sorted(told.filter_subjects or []) != subjects:
                    await bus.js.add_consumer(STREAM.name, replace(told, filter_subjects=subjects))
            except DOWN:
                continue

    def begin_noting(self: Any, bus: Any, service: str, handlers: Any, *more: Any) -> None:
        self.own_filter = (bus, service, sorted(kind.subject for kind in handlers))
        begin(self, bus, service, handlers, *more)

    async def run_with_own_filter(self: Any, stopping: asyncio.Event) -> None:
        writing = asyncio.create_task(write_own_filter(*self.own_filter))
        try:
            await run(self, stopping)
        finally:
            writing.cancel()

    _replace("ticketing_common.listener:Listener", "__init__", begin_noting)
    _replace("ticketing_common.listener:Listener", "run", run_with_own_filter)


_FOLLOWERS = ("tickets", "orders", "payments", "expiration")
_WRITERS = ("tickets", "orders", "payments")

GUARDS = {
    "claim": Guard("the unique index on (ticket, n)", ("orders",), _no_claim),
    "compare-and-set": Guard("a write asks for the version that was read", _WRITERS, _blind_writes),
    "versions": Guard("a follower takes the next version only", ("orders", "payments"), _any_version),
    "fencing": Guard("the highest n wins", ("tickets",), _no_fencing),
    "sweep": Guard("the relay sweeps for what a crash left", _WRITERS, _no_sweep, (("nats", "kill"),)),
    "acknowledgement": Guard(
        "an event is acknowledged once it is handled",
        _FOLLOWERS,
        _early_acknowledgement,
        (("tickets", "kill"), ("orders", "kill"), ("payments", "kill")),
    ),
    "publish": Guard(
        "an event leaves the outbox once it is on disk", _WRITERS, _publish_and_hope, (("nats", "wedge"),)
    ),
    "journal": Guard(
        "a write is answered once it is in the journal", _WRITERS, _no_journal, (("mongod", "kill"),)
    ),
    "ledger": Guard(
        "what Redis has lost is published from the ledger",
        ("expiration", "worker"),
        _trust_redis,
        (("redis", "wipe"),),
    ),
    "capture": Guard("money moves last", ("payments",), _capture_at_once),
    "idempotency": Guard("a call repeated is the same call to Stripe", ("payments",), _new_key_each_time),
    "keys": Guard("a form's key is kept with what the form did", ("auth", "tickets", "orders"), _no_keys),
    "certainty": Guard(
        "404 is answered only by a service that has caught up",
        ("orders", "payments"),
        _never_behind,
        (("nats", "freeze"),),
    ),
    "filter": Guard("a replica never narrows its consumer's filter", _FOLLOWERS, _own_filter, replicas=2),
    "settlement": Guard("Stripe is told what became of the order", ("payments",), _no_settlement),
}
