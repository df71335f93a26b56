"""The queries and indexes of the payments."""

import asyncio
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Any, get_args

from pymongo import ASCENDING, IndexModel

from payments.payment.models import Payment, PaymentStatus, event_of
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.storage.documents import DocumentNotFound, Documents, DuplicateDocument
from ticketing_common.storage.leases import not_leased
from ticketing_common.storage.mongo import Database, without_journal
from ticketing_common.storage.outbox import Outbox
from ticketing_common.values.clock import now
from ticketing_common.values.errors import NotFound

_TIME = {"$type": "date"}
LEASE = timedelta(seconds=3)
"""Renewed every second. After a replica is killed, the others take over its payments when this has passed."""


class Payments:
    def __init__(self, database: Database, outbox: Outbox, arrivals: Arrivals) -> None:
        self._payments = Documents(database, "payments", Payment, outbox=outbox, event_of=event_of)
        self._arrivals = arrivals
        self.work_is_due = asyncio.Event()
        """Notifies the settlement worker of this process that a payment has become due."""

    async def ensure_indexes(self) -> None:
        await self._payments.ensure_indexes(
            IndexModel([("order_id", ASCENDING)], unique=True),
            IndexModel([("stripe_id", ASCENDING)], partialFilterExpression={"stripe_id": {"$gt": ""}}),
            IndexModel([("settle_at", ASCENDING)], partialFilterExpression={"settle_at": _TIME}),
            IndexModel([("due_since", ASCENDING)], partialFilterExpression={"due_since": _TIME}),
        )

    async def add(self, payment: Payment) -> None:
        """Add the payment of an order, unless the order has one already."""
        try:
            await self._payments.insert(payment)
        except DuplicateDocument:
            return
        await self._arrivals.notify(payment.order_id)

    async def change(self, order_id: str, decide: Callable[[Payment], Payment]) -> Payment:
        """Replace an order's payment with the result of `decide`. For `change_payment`, which schedules too.

        Raises NotFound, Unavailable, and what `decide` raises.
        """
        try:
            return await self._payments.change(decide, order_id=order_id)
        except DocumentNotFound:
            raise NotFound("order") from None

    async def get_by_order(self, order_id: str, user_id: str | None = None) -> Payment:
        """Waits briefly, on behalf of the user, if the event that creates the payment may still be in flight.

        Raises NotFound, Unavailable.
        """
        find = partial(self._payments.find, order_id=order_id)
        payment = await self._arrivals.find_or_wait(order_id, find, user_id=user_id)
        if payment is None:
            raise NotFound("order")
        return payment

    async def find_by_intent(self, stripe_id: str) -> Payment | None:
        """Find the payment that has recorded this PaymentIntent."""
        return await self._payments.find(stripe_id=stripe_id)

    async def find_by_orders(self, order_ids: list[str]) -> dict[str, Payment]:
        """Find the payments of several orders, by the order's id."""
        if not order_ids:
            return {}
        found = await self._payments.find_page(
            {"order_id": {"$in": order_ids}}, len(order_ids), by="order_id"
        )
        return {payment.order_id: payment for payment in found}

    async def page(self, after: str, before: str, limit: int) -> list[Payment]:
        """At most `limit` payments with ids between `after` and `before`, exclusive, in the order of ids."""
        return await self._payments.find_page({"_id": {"$lt": before}}, limit, after=after)

    async def lease_due(self, holder: str) -> Payment | None:
        """Lease the payment that has been due longest; None if no payment without a lease is due.

        Skips a payment in a status that only a later version has. Leases only spread the work over the
        replicas: settling a payment twice is harmless.
        """
        at = now()
        readable = {"$in": get_args(PaymentStatus)}
        due = {"settle_at": _TIME | {"$lte": at}, "status": readable, **not_leased("lease", at)}
        return await self._payments.update_first(due, {"lease": _lease(holder, at)}, by="settle_at")

    async def renew_leases(self, payment_ids: Collection[str], holder: str) -> None:
        """Extend the leases on these payments that `holder` still has."""
        held = {"_id": {"$in": list(payment_ids)}, "lease.holder": holder}
        await without_journal(self._payments.collection).update_many(
            held, {"$set": {"lease": _lease(holder, now())}}
        )

    async def release_lease(self, payment_id: str, holder: str) -> None:
        """End the lease if `holder` still has it."""
        await without_journal(self._payments.collection).update_one(
            {"_id": payment_id, "lease.holder": holder}, {"$unset": {"lease": True}}
        )

    async def make_all_due(self) -> None:
        """Make every scheduled payment due now, unless another replica has leased it."""
        at = now()
        later = {"settle_at": _TIME | {"$gt": at}, **not_leased("lease", at)}
        await self._payments.collection.update_many(later, {"$set": {"settle_at": at}})

    async def find_oldest_due(self) -> datetime | None:
        """Since when the oldest capture, void or refund has been due."""
        oldest = await self._payments.collection.find_one(
            {"due_since": _TIME}, {"due_since": 1}, sort=[("due_since", ASCENDING)]
        )
        return oldest["due_since"] if oldest else None


def _lease(holder: str, at: datetime) -> dict[str, Any]:
    return {"holder": holder, "until": at + LEASE}
