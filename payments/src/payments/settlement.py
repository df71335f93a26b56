"""Settling with Stripe: capture, void or refund as the order was decided, and look into what is in doubt."""

import asyncio
from functools import partial

from pydantic import ValidationError

from payments.agreement import disagreements, report
from payments.intent import make_intent
from payments.metrics import OLDEST_DUE
from payments.models import Payment, Seen, renew_key
from payments.repository import Payments
from payments.schedule import is_overdue, postponed, settled, task
from payments.stripe_api import StripeApi, StripeUnavailable
from ticketing_common.observability.logs import get_logger
from ticketing_common.storage.mongo import MONGO_UNAVAILABLE
from ticketing_common.values.clock import now
from ticketing_common.values.ids import new_id

_SLOTS = 100
"""Payments settled at once. Each needs one connection to Stripe, and a StripeApi opens up to 100."""
_LIMIT = 60.0
"""Seconds for one settlement. The limit of each call does not end an answer that comes byte by byte."""
_EVERY = 1.0
"""Seconds between two sweeps, and between two renewals of the leases."""

log = get_logger(__name__)


async def run(payments: Payments, stripe: StripeApi, stopping: asyncio.Event) -> None:
    """Settle what is due, at once if this process made it due, else by a sweep, until stopped.

    Each payment has a slot and a lease of its own, so one that hangs delays no other, and replicas share the
    work. Both the task and its time are in the payment, so a crash or an outage only delays it.
    """
    await _Settlement(payments, stripe).run(stopping)


class _Settlement:
    """The payments that this process has leased, each settled in a task of its own."""

    def __init__(self, payments: Payments, stripe: StripeApi) -> None:
        self._payments = payments
        self._stripe = stripe
        self._holder = new_id()
        self._leased: set[str] = set()
        self._slot_freed = asyncio.Event()

    async def run(self, stopping: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as background:
            renewing = background.create_task(self._renew_leases())
            async with asyncio.TaskGroup() as settlements:
                while not stopping.is_set():
                    self._payments.something_open.clear()
                    self._slot_freed.clear()
                    await self._fill_slots(settlements)
                    await _wait(_EVERY, self._payments.something_open, self._slot_freed, stopping)
            renewing.cancel()

    async def _fill_slots(self, settlements: asyncio.TaskGroup) -> None:
        for _ in range(_SLOTS - len(self._leased)):
            try:
                payment = await self._payments.claim_due(self._holder)
            except ValidationError as error:  # another version wrote it, and settles it
                log.error("a payment that this version can't read is leased and left", reason=str(error))
                continue
            except MONGO_UNAVAILABLE as error:
                log.warning("can't claim payments, trying again", reason=str(error)[:200])
                return
            if payment is None:
                return
            self._leased.add(payment.id)
            settlements.create_task(self._settle_leased(payment))

    async def _settle_leased(self, payment: Payment) -> None:
        try:
            await self._settle_or_put_off(payment)
            await self._payments.release(payment.id, self._holder)
        except (*MONGO_UNAVAILABLE, ValidationError) as error:  # ValidationError: another version wrote it meanwhile
            log.warning(
                "not settled, trying again when the lease ends", payment=payment.id, reason=str(error)[:200]
            )
        finally:
            self._leased.discard(payment.id)
            self._slot_freed.set()

    async def _settle_or_put_off(self, payment: Payment) -> None:
        """Settle the payment. Any failure concerns this payment alone; raises one of MONGO_UNAVAILABLE."""
        try:
            async with asyncio.timeout(_LIMIT):
                await settle(payment, self._payments, self._stripe)
        except MONGO_UNAVAILABLE:
            raise
        except Exception:
            log.exception("settlement failed, trying again", payment=payment.id, order=payment.order_id)
            await self._payments.change(payment.order_id, partial(postponed, now=now()))

    async def _renew_leases(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            try:
                if self._leased:
                    await self._payments.renew_leases(self._leased, self._holder)
                since = await self._payments.due_longest()
                OLDEST_DUE.set((now() - since).total_seconds() if since else 0)
            except MONGO_UNAVAILABLE as error:
                log.warning("leases not renewed, trying again", reason=str(error)[:200])


async def _wait(seconds: float, *events: asyncio.Event) -> None:
    """Until one of the events is set, or the time is over."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


async def settle(payment: Payment, payments: Payments, stripe: StripeApi) -> None:
    """Do what the payment's state asks for, once; what fails is put off."""
    todo = task(payment) or "look"
    about = {"todo": todo, "payment": payment.id, "order": payment.order_id}
    try:
        asked, seen = await _ask(payment, todo, payments, stripe)
    except StripeUnavailable as error:
        if error.key_is_spent:
            await payments.change(payment.order_id, partial(renew_key, spent=payment.key_no))
        await payments.change(payment.order_id, partial(postponed, now=now()))
        if is_overdue(payment, now()):
            log.error("not settled for more than 10 minutes, trying on", since=payment.due_since, **about)
        else:
            log.warning("not settled yet, trying again", **about)
        return
    found = asked

    def take_in(current: Payment) -> Payment:
        nonlocal found
        found = current
        return settled(current, seen, payment, now())

    after = await payments.change(payment.order_id, take_in)
    log.info("settled", was=payment.status, now=after.status, seen=seen.status, **about)
    if seen.status == "missing":
        report("stripe does not know an intent that it gave us", intent=seen.stripe_id, **about)
    # What was seen before another write is old news, and proves nothing.
    is_final = found.version == asked.version and after.order_status != "created" and task(after) is None
    if is_final and (what := disagreements(after, seen)):
        report("stripe and we disagree", what=what, **about)


async def _ask(payment: Payment, todo: str, payments: Payments, stripe: StripeApi) -> tuple[Payment, Seen]:
    """The payment as it was when Stripe was asked, and what Stripe had then."""
    if payment.stripe_id is None:
        payment, _ = await make_intent(payment, payments, stripe)
    stripe_id = payment.stripe_id
    assert stripe_id is not None
    if todo == "capture":
        return payment, await stripe.capture(stripe_id)
    if todo == "void":
        return payment, await stripe.void(stripe_id)
    if todo == "refund":
        return payment, await stripe.refund(stripe_id, f"{payment.id}:refund:{payment.key_no}")
    return payment, await stripe.look(stripe_id)
