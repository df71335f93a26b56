"""Every query and index of the payments service."""

import asyncio
from collections.abc import Callable
from typing import Any

from pymongo import ASCENDING, IndexModel

from payments.models import NoSuchOrder, Payment, announce, due
from ticketing_common.aggregate import EarlierEventUnderWay
from ticketing_common.mongo import Database, Documents, Duplicate, Missing
from ticketing_common.outbox import Relay

_IS_DUE = {"due": {"$type": "string"}}


class Payments:
    def __init__(self, database: Database, relay: Relay) -> None:
        self._payments = Documents(database, "payments", Payment, relay=relay, announce=announce)
        self.something_due = asyncio.Event()
        """Set by each change of this process after which Stripe has to be told."""

    async def ensure_indexes(self) -> None:
        await self._payments.ensure_indexes(
            IndexModel([("order_id", ASCENDING)], unique=True),
            IndexModel([("due", ASCENDING)], partialFilterExpression=_IS_DUE),
        )

    async def add(self, payment: Payment) -> None:
        """Add what is owed for an order; an order that has its payment already keeps it."""
        try:
            await self._payments.insert(payment, due=None)
        except Duplicate:
            return

    async def of_order(self, order_id: str) -> Payment:
        """The payment of an order; that of one made a moment ago is waited for. Raises NoSuchOrder."""
        payment = await self._payments.find_arriving(order_id=order_id)
        if payment is None:
            raise NoSuchOrder
        return payment

    async def change(self, order_id: str, decide: Callable[[Payment], Payment]) -> Payment:
        """The payment of an order as `decide` leaves it.

        Raises EarlierEventUnderWay when there is none yet, and what `decide` raises.
        """
        try:
            payment = await self._payments.change(decide, _derive, order_id=order_id)
        except Missing:
            raise EarlierEventUnderWay(f"order {order_id} is not known yet") from None
        if due(payment):
            self.something_due.set()
        return payment

    async def due(self, limit: int) -> list[Payment]:
        """At most `limit` payments for which something is due at Stripe."""
        return await self._payments.page(_IS_DUE, limit)


def _derive(payment: Payment) -> dict[str, Any]:
    return {"due": due(payment)}
