"""Reconciliation: Stripe's PaymentIntents of a period beside our payments and the orders.

    MONGO_URI=... STRIPE_KEY=... python -m payments.reconcile [--since 2026-11-01] [--until 2026-11-02]

Prints every disagreement, one a line. Exit status: 0 none, 1 some, 2 it could not look. What is being settled
for less than 10 minutes is left out, and a disagreement is looked at a second time before it is printed.
With MONGO_URI_ORDERS it reads the orders themselves, else what the payments service has heard of them.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from bson import ObjectId
from pydantic import Field

from payments.agreement import disagreements
from payments.config import StripeKey
from payments.models import Payment, Seen
from payments.repository import Payments
from payments.schedule import is_overdue, task
from payments.stripe_api import StripeApi, StripeUnavailable
from ticketing_common.config import MongoSettings, MongoUri, load_settings
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import Bus
from ticketing_common.observability.logs import configure_logs
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE, Database, connect
from ticketing_common.storage.outbox import Outbox
from ticketing_common.values.clock import now

_PAGE = 100
_AT_ONCE = timedelta(hours=1)
"""The intents that were met in so long a time are kept in mind, lest their payments be looked up again."""
_SECOND_LOOK_AFTER = 2.0


class ReconcileSettings(MongoSettings):
    stripe_key: StripeKey
    stripe_api_base: str = "https://api.stripe.com"
    mongo_uri_orders: MongoUri | None = Field(None, repr=False)
    """The orders service's database, only read."""


class Sale(NamedTuple):
    """One order as the three know it; None: not at all."""

    seen: Seen | None
    payment: Payment | None
    order: dict[str, Any] | None

    @property
    def order_id(self) -> str:
        if self.payment:
            return self.payment.order_id
        return str(self.order["_id"] if self.order else self.seen and self.seen.order_id)


class Books:
    """What there is to compare, read by the page."""

    def __init__(self, payments: Payments, stripe: StripeApi, orders: Database | None) -> None:
        self._payments = payments
        self._stripe = stripe
        self._orders = None if orders is None else orders["orders"]

    async def sales(self, since: datetime, until: datetime) -> AsyncIterator[list[Sale]]:
        """Every intent, payment and order that was made in the period, in pages; some come twice."""
        while since < until:
            end = min(since + _AT_ONCE, until)
            async for page in self._made_between(since, end):
                yield page
            since = end

    async def _made_between(self, since: datetime, until: datetime) -> AsyncIterator[list[Sale]]:
        page: list[Seen] = []
        met: set[str] = set()
        async for seen in self._stripe.intents(since, until):
            met.add(seen.stripe_id)
            if seen.order_id is not None:  # else it is another shop's
                page.append(seen)
            if len(page) == _PAGE:
                yield await self._beside(page)
                page = []
        yield await self._beside(page)
        first, last = _first_id(since), _first_id(until)
        after = first
        while payments := await self._payments.page(after, last, _PAGE):
            after = payments[-1].id
            rest = [p for p in payments if p.stripe_id not in met]
            orders = await self._orders_of([p.order_id for p in rest])
            yield [Sale(await self._look(p.stripe_id), p, orders.get(p.order_id)) for p in rest]
        async for found in self._orders_without_payment(first, last):
            yield found

    async def again(self, sale: Sale) -> Sale:
        """The same sale as it is now."""
        order_id = sale.order_id
        payment = (await self._payments.of_orders([order_id])).get(order_id)
        stripe_id = sale.seen.stripe_id if sale.seen else payment.stripe_id if payment else None
        return Sale(await self._look(stripe_id), payment, (await self._orders_of([order_id])).get(order_id))

    async def _beside(self, page: list[Seen]) -> list[Sale]:
        ids = [str(seen.order_id) for seen in page]
        payments, orders = await self._payments.of_orders(ids), await self._orders_of(ids)
        return [Sale(s, payments.get(id_), orders.get(id_)) for s, id_ in zip(page, ids, strict=True)]

    async def _look(self, stripe_id: str | None) -> Seen | None:
        return await self._stripe.look(stripe_id) if stripe_id else None

    async def _orders_of(self, ids: list[str]) -> dict[str, dict[str, Any]]:
        if self._orders is None or not ids:
            return {}
        found = self._orders.find({"_id": {"$in": ids}}, {"status": 1, "ticket.price_cents": 1})
        return {each["_id"]: each for each in await found.to_list(len(ids))}

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
            payments = await self._payments.of_orders([order["_id"] for order in page])
            yield [Sale(None, None, order) for order in page if order["_id"] not in payments]


def judge(sale: Sale, at: datetime) -> list[str]:
    """What does not fit, each as one sentence."""
    seen, payment, order = sale
    if payment is None:
        if seen is not None and not _is_harmless(seen):
            return [f"Stripe has an intent ({seen.status}), we have no payment for its order"]
        return ["the order has no payment"] if seen is None else []
    if task(payment) is not None and not is_overdue(payment, at):
        return []
    if seen is not None and seen.stripe_id != payment.stripe_id:
        return [] if _is_harmless(seen) else [f"a second intent ({seen.status}), ours is {payment.stripe_id}"]
    found = disagreements(payment, seen or Seen(status="missing", stripe_id=""))
    if order is not None and order["status"] != payment.order_status:
        found.append(f"the order is {order['status']}, our payment has heard {payment.order_status}")
    if order is not None and order["ticket"]["price_cents"] != payment.amount_cents:
        found.append(
            f"the order costs {order['ticket']['price_cents']} cents, our payment {payment.amount_cents}"
        )
    return found


def _is_harmless(seen: Seen) -> bool:
    return seen.status == "canceled" or seen.refunded


async def reconcile(books: Books, since: datetime, until: datetime) -> int:
    """Print the disagreements of a period, then how much was looked at. Returns their number."""
    looked = wrong = 0
    async for page in books.sales(since, until):
        looked += len(page)
        if suspects := [sale for sale in page if judge(sale, now())]:
            await asyncio.sleep(_SECOND_LOOK_AFTER)
            for suspect in suspects:
                sale = await books.again(suspect)
                for problem in judge(sale, now()):
                    wrong += 1
                    print(f"{_names(sale)}: {problem}", flush=True)
    print(f"{looked} sales from {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC, {wrong} disagreements")
    return wrong


def _names(sale: Sale) -> str:
    payment_id = sale.payment.id if sale.payment else None
    stripe_id = sale.seen.stripe_id if sale.seen else None
    return f"order {sale.order_id} payment {payment_id} intent {stripe_id}"


async def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m payments.reconcile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    day_ago = now() - timedelta(days=1)
    parser.add_argument("--since", type=_time, default=day_ago, help="ISO 8601, UTC; a day ago")
    parser.add_argument("--until", type=_time, default=None, help="ISO 8601, UTC; now")
    arguments = parser.parse_args()
    try:
        settings = load_settings(ReconcileSettings, "payments.reconcile")
    except SystemExit:
        return 2
    configure_logs("error", "console", "payments.reconcile")
    stripe = StripeApi(settings.stripe_key, settings.stripe_api_base)
    # Nothing is published: the relay never runs.
    payments = Payments(
        connect(settings.mongo_uri), Outbox(), Arrivals(Bus("", "payments.reconcile"))
    )
    orders = connect(settings.mongo_uri_orders) if settings.mongo_uri_orders else None
    try:
        until = arguments.until or now() + timedelta(seconds=1)
        return 1 if await reconcile(Books(payments, stripe, orders), arguments.since, until) else 0
    except (StripeUnavailable, *MONGO_UNAVAILABLE) as error:
        print(f"It could not look: {error}. Try again when Stripe and MongoDB answer.", file=sys.stderr)
        return 2
    finally:
        await stripe.close()


def _first_id(at: datetime) -> str:
    """The smallest id that can have been created in that second."""
    return str(ObjectId.from_datetime(at))


def _time(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


if __name__ == "__main__":
    raise SystemExit(asyncio.run(main()))
