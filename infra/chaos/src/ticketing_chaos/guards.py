"""The guards of the promises, each with the way to switch it off, for the negative control alone.

A run in which a guard is off must make the checker fail; a checker that passes it could not see what the
guard is there for. The services know nothing of this: `unguarded.py` changes them from outside as they start.
"""

import asyncio
import importlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ticketing_chaos.saboteur import Means


@dataclass(frozen=True)
class Guard:
    what: str
    """What keeps the promise, as a sentence about the code."""
    services: tuple[str, ...]
    off: Callable[[], None]
    """Called in the service's process before it starts."""
    attacks: tuple[tuple[str, Means], ...] = ()
    """What brings it out; nothing: the crowd alone."""


def _replace(where: str, name: str, by: Any) -> None:
    """`where`: a module, or a class in it after a colon."""
    module, _, kind = where.partition(":")
    owner = importlib.import_module(module)
    setattr(getattr(owner, kind) if kind else owner, name, by)


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

    _replace("tickets.models", "follow_order", follow)
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
    "settlement": Guard("Stripe is told what became of the order", ("payments",), _no_settlement),
}
