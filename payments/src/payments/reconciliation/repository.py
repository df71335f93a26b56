"""Reads the sales of a period from Stripe and from the databases of payments and orders."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from payments.payment.repository import Payments
from payments.reconciliation.models import Sale
from payments.stripe.client import StripeApi
from payments.stripe.models import StripeIntent
from ticketing_common.storage.mongo import Database

_PAGE = 100
_STEP = timedelta(hours=1)
"""A period is read in steps, since the ids of a step's intents are kept in memory."""


class Sales:
    def __init__(self, payments: Payments, stripe: StripeApi, orders: "Database | None") -> None:
        """Without the database of orders, `Sale.order` is None."""
        self._payments = payments
        self._stripe = stripe
        self._orders = None if orders is None else orders["orders"]

    async def pages(self, since: datetime, until: datetime) -> AsyncIterator[list[Sale]]:
        """Every intent, payment and order that was created in the period. Some sales come twice."""
        while since < until:
            end = min(since + _STEP, until)
            seen: set[str] = set()
            async for page in self._sales_with_intent(since, end, seen):
                yield page
            first, last = _first_id(since), _first_id(end)
            async for page in self._sales_with_payment(first, last, seen):
                yield page
            async for page in self._orders_without_payment(first, last):
                yield page
            since = end

    async def reread(self, sale: Sale) -> Sale:
        """The current state of the same sale."""
        order_id = sale.order_id
        payment = (await self._payments.find_by_orders([order_id])).get(order_id)
        intent_id = sale.intent.id if sale.intent else payment.stripe_id if payment else None
        order = (await self._find_orders([order_id])).get(order_id)
        return Sale(await self._retrieve(intent_id), payment, order)

    async def _sales_with_intent(
        self, since: datetime, until: datetime, seen: set[str]
    ) -> AsyncIterator[list[Sale]]:
        """Adds the ids of the intents to `seen`."""
        page: list[StripeIntent] = []
        async for intent in self._stripe.list_created(since, until):
            seen.add(intent.id)
            if intent.order_id is not None:  # created by this service
                page.append(intent)
            if len(page) == _PAGE:
                yield await self._add_records(page)
                page = []
        yield await self._add_records(page)

    async def _add_records(self, intents: list[StripeIntent]) -> list[Sale]:
        ids = [str(intent.order_id) for intent in intents]
        payments, orders = await self._payments.find_by_orders(ids), await self._find_orders(ids)
        return [Sale(i, payments.get(id_), orders.get(id_)) for i, id_ in zip(intents, ids, strict=True)]

    async def _sales_with_payment(self, first: str, last: str, seen: set[str]) -> AsyncIterator[list[Sale]]:
        """The payments of the period, except for those whose intent is in `seen`."""
        after = first
        while payments := await self._payments.page(after, last, _PAGE):
            after = payments[-1].id
            rest = [p for p in payments if p.stripe_id not in seen]
            orders = await self._find_orders([p.order_id for p in rest])
            yield [Sale(await self._retrieve(p.stripe_id), p, orders.get(p.order_id)) for p in rest]

    async def _orders_without_payment(self, first: str, last: str) -> AsyncIterator[list[Sale]]:
        if self._orders is None:
            return
        after = first
        while True:
            found = self._orders.find({"_id": {"$gt": after, "$lt": last}}, {"status": 1, "ticket": 1})
            page = await found.sort("_id", 1).limit(_PAGE).to_list(_PAGE)
            if not page:
                return
            after = page[-1]["_id"]
            payments = await self._payments.find_by_orders([order["_id"] for order in page])
            yield [Sale(None, None, order) for order in page if order["_id"] not in payments]

    async def _find_orders(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        if self._orders is None or not ids:
            return {}
        found = self._orders.find({"_id": {"$in": ids}}, {"status": 1, "ticket.price_cents": 1})
        return {order["_id"]: order for order in await found.to_list(len(ids))}

    async def _retrieve(self, intent_id: str | None) -> StripeIntent | None:
        return await self._stripe.retrieve(intent_id) if intent_id else None


def _first_id(at: datetime) -> str:
    """The smallest id that can have been created in that second."""
    return str(ObjectId.from_datetime(at))
