"""The background job that settles due payments."""

import asyncio
from functools import partial

from pydantic import ValidationError

from payments.metrics import OLDEST_DUE
from payments.payment.models import Payment
from payments.payment.repository import Payments
from payments.payment.scheduling import postpone
from payments.payment.use_cases import change_payment
from payments.settlement.use_cases import settle
from payments.stripe.client import StripeApi
from ticketing_common.background import repeat
from ticketing_common.observability.logs import get_logger
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE
from ticketing_common.values.clock import now
from ticketing_common.values.ids import new_id

_SLOTS = 100
"""Payments settled concurrently. Each needs one connection to Stripe; StripeApi opens up to 100."""
_TIME_LIMIT = 60.0
"""Seconds for one settlement. The time-out of a call does not end a response that comes byte by byte."""
_INTERVAL = 1.0
"""Seconds between two sweeps, and between two renewals of the leases."""

log = get_logger(__name__)


async def run(payments: Payments, stripe: StripeApi, stopping: asyncio.Event) -> None:
    """Settle due payments until stopped: immediately if this process made them due, else by a sweep.

    Each payment has a slot and a lease of its own, so one that hangs does not delay the others, and replicas
    share the work. A payment's task and its time are stored in the payment, so a crash or an outage only
    delays it.
    """
    await _Worker(payments, stripe).run(stopping)


class _Worker:
    """Leases due payments and settles each in an asyncio task of its own."""

    def __init__(self, payments: Payments, stripe: StripeApi) -> None:
        self._payments = payments
        self._stripe = stripe
        self._holder = new_id()
        self._leased: set[str] = set()
        self._slot_is_free = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as background:
            renewal = background.create_task(self._renew_leases_until_cancelled())
            async with asyncio.TaskGroup() as settlements:
                while not stopping.is_set():
                    self._payments.work_is_due.clear()
                    self._slot_is_free.clear()
                    await self._fill_slots(settlements)
                    await _wait_for_any(self._payments.work_is_due, self._slot_is_free, stopping)
            renewal.cancel()

    async def _fill_slots(self, settlements: asyncio.TaskGroup) -> None:
        for _ in range(_SLOTS - len(self._leased)):
            try:
                payment = await self._payments.lease_due(self._holder)
            except ValidationError as error:  # another version has written it, and settles it
                log.error("skipped a payment that this version can't read", reason=str(error))
                continue
            except MONGO_UNAVAILABLE as error:
                log.warning("can't lease payments, will retry", reason=str(error)[:200])
                return
            if payment is None:
                return
            self._leased.add(payment.id)
            settlements.create_task(self._settle_leased(payment))

    async def _settle_leased(self, payment: Payment) -> None:
        try:
            await self._settle_or_postpone(payment)
            await self._payments.release_lease(payment.id, self._holder)
        except (*MONGO_UNAVAILABLE, ValidationError) as error:
            # ValidationError: another version has changed the payment meanwhile.
            log.warning(
                "payment not settled, will retry when its lease ends",
                payment=payment.id,
                reason=str(error)[:200],
            )
        finally:
            self._leased.discard(payment.id)
            self._slot_is_free.set()

    async def _settle_or_postpone(self, payment: Payment) -> None:
        """Settle the payment; postpone it after any error, except for MONGO_UNAVAILABLE, which is raised."""
        try:
            async with asyncio.timeout(_TIME_LIMIT):
                await settle(self._payments, self._stripe, payment)
        except MONGO_UNAVAILABLE:
            raise
        except Exception:
            log.exception("settlement failed, will retry", payment=payment.id, order=payment.order_id)
            await change_payment(self._payments, payment.order_id, partial(postpone, now=now()))

    async def _renew_leases_until_cancelled(self) -> None:
        await repeat(
            self._renew_leases,
            asyncio.Event(),
            name="settlement.renew_leases",
            every=_INTERVAL,
            outages=MONGO_UNAVAILABLE,
            longest_back_off=_INTERVAL,  # a lease lasts three seconds
        )

    async def _renew_leases(self) -> None:
        """Also updates the metric of the oldest due payment."""
        if self._leased:
            await self._payments.renew_leases(self._leased, self._holder)
        since = await self._payments.find_oldest_due()
        OLDEST_DUE.set((now() - since).total_seconds() if since else 0)


async def _wait_for_any(*events: asyncio.Event) -> None:
    """Wait until one of the events is set, at most one interval."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=_INTERVAL, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
