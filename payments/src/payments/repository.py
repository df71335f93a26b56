"""Every query and index of the payments service."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any, get_args

from pymongo import ASCENDING, IndexModel, WriteConcern

from payments.models import NoSuchOrder, Payment, PaymentStatus, announce
from payments.schedule import scheduled
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.storage.documents import DocumentNotFound, Documents, DuplicateDocument
from ticketing_common.storage.mongo import Database
from ticketing_common.storage.outbox import Outbox
from ticketing_common.values.aggregate import EarlierEventMissing
from ticketing_common.values.clock import now

_TIME = {"$type": "date"}
_EVENTS_KEPT = timedelta(days=7)
"""Stripe repeats an event for three days."""
LEASE = timedelta(seconds=3)
"""Renewed every second. After a replica is killed, the others wait this long for its payments."""


class Payments:
    """The payments, and the ids of Stripe's events that have taken effect."""

    def __init__(self, database: Database, outbox: Outbox, arrivals: Arrivals) -> None:
        self._payments = Documents(database, "payments", Payment, outbox=outbox, event_of=announce)
        self._events = database["stripe_events"]
        self._arrivals = arrivals
        self.something_open = asyncio.Event()
        """Set by each change of this process after which Stripe is to be dealt with at once."""

    async def ensure_indexes(self) -> None:
        await self._payments.ensure_indexes(
            IndexModel([("order_id", ASCENDING)], unique=True),
            IndexModel([("stripe_id", ASCENDING)], partialFilterExpression={"stripe_id": {"$gt": ""}}),
            IndexModel([("settle_at", ASCENDING)], partialFilterExpression={"settle_at": _TIME}),
            IndexModel([("due_since", ASCENDING)], partialFilterExpression={"due_since": _TIME}),
        )
        kept = int(_EVENTS_KEPT.total_seconds())
        await self._events.create_indexes([IndexModel([("at", ASCENDING)], expireAfterSeconds=kept)])

    async def add(self, payment: Payment) -> None:
        """Add what is owed for an order; an order that has its payment already keeps it."""
        try:
            await self._payments.insert(payment)
        except DuplicateDocument:
            return
        await self._arrivals.notify(payment.order_id)

    async def of_order(self, order_id: str, user_id: str | None = None) -> Payment:
        """The payment of an order; waits for that of one placed a moment ago, on behalf of a user.

        Raises NoSuchOrder, Unavailable.
        """
        look = partial(self._payments.find, order_id=order_id)
        payment = await self._arrivals.find_or_wait(order_id, look, user_id=user_id)
        if payment is None:
            raise NoSuchOrder
        return payment

    async def of_intent(self, stripe_id: str) -> Payment | None:
        """The payment that has noted this PaymentIntent."""
        return await self._payments.find(stripe_id=stripe_id)

    async def of_orders(self, order_ids: list[str]) -> dict[str, Payment]:
        """The payments of these orders, by the order's id."""
        if not order_ids:
            return {}
        found = await self._payments.find_page({"order_id": {"$in": order_ids}}, len(order_ids), by="order_id")
        return {payment.order_id: payment for payment in found}

    async def change(self, order_id: str, decide: Callable[[Payment], Payment]) -> Payment:
        """The payment of an order as `decide` leaves it, with the time of what is then to be done.

        Raises EarlierEventMissing when there is none yet, and what `decide` raises.
        """
        at = now()
        try:
            payment = await self._payments.change(
                lambda payment: scheduled(payment, decide(payment), at), order_id=order_id
            )
        except DocumentNotFound:
            raise EarlierEventMissing(f"order {order_id} is not known yet") from None
        if payment.settle_at and payment.settle_at <= at:
            self.something_open.set()
        return payment

    async def claim_due(self, holder: str) -> Payment | None:
        """Lease the payment that has been due longest to `holder`; None if none is due that is not leased.

        One in a status of a later version is left to that version.
        Leases spread the work over the replicas. They guard nothing: settling a payment twice is harmless.
        """
        at = now()
        known = {"$in": get_args(PaymentStatus)}
        due = {"settle_at": _TIME | {"$lte": at}, "status": known, **_not_leased(at)}
        return await self._payments.update_first(due, {"lease": _lease(holder, at)}, by="settle_at")

    async def renew_leases(self, payment_ids: Collection[str], holder: str) -> None:
        """Extend the leases that `holder` still has on these payments."""
        held = {"_id": {"$in": list(payment_ids)}, "lease.holder": holder}
        await self._without_journal().update_many(held, {"$set": {"lease": _lease(holder, now())}})

    async def release(self, payment_id: str, holder: str) -> None:
        """End the lease of `holder`, if it still has it."""
        await self._without_journal().update_one(
            {"_id": payment_id, "lease.holder": holder}, {"$unset": {"lease": True}}
        )

    def _without_journal(self) -> Any:
        """For the leases: if a crash of MongoDB undoes one, work is done twice, no more."""
        return self._payments.collection.with_options(write_concern=WriteConcern(w=1, j=False))

    async def open_all(self) -> None:
        """After a start nothing waits for its time: what the last process had in hand may be in doubt.

        Payments that another replica has leased stay as they are.
        """
        at = now()
        put_off = {"settle_at": _TIME | {"$gt": at}, **_not_leased(at)}
        await self._payments.collection.update_many(put_off, {"$set": {"settle_at": at}})

    async def due_longest(self) -> datetime | None:
        """Since when Stripe is to be told of what has waited longest."""
        longest = await self._payments.collection.find_one(
            {"due_since": _TIME}, {"due_since": 1}, sort=[("due_since", ASCENDING)]
        )
        return longest["due_since"] if longest else None

    async def page(self, since: str, until: str, limit: int) -> list[Payment]:
        """At most `limit` payments with ids after `since` and before `until`, in that order."""
        return await self._payments.find_page({"_id": {"$lt": until}}, limit, after=since)

    async def remember(self, event_id: str) -> None:
        """Stripe's event has taken effect."""
        await self._events.update_one({"_id": event_id}, {"$setOnInsert": {"at": now()}}, upsert=True)

    async def remembers(self, event_id: str) -> bool:
        return await self._events.find_one({"_id": event_id}) is not None


def _lease(holder: str, at: datetime) -> dict[str, Any]:
    return {"holder": holder, "until": at + LEASE}


def _not_leased(at: datetime) -> dict[str, Any]:
    """Also the payments that no lease was ever written into."""
    return {"lease.until": {"$not": {"$gt": at}}}
