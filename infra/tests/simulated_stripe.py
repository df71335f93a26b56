"""Stripe as payments sees it, behind a network that may lose, delay or break any call.

Like Stripe, it authorises, captures and refunds an intent at most once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from simulation import pause

from payments.stripe.client import StripeBusy
from payments.stripe.models import Decline, NewIntent, StripeIntent
from payments.webhooks.models import StripeEvent

T = TypeVar("T")

FAULTS = ("lost", "late", "no response", "failed", "failed after effect")
"""The request is lost; it arrives after the caller's time-out; the response is lost; Stripe responds 500
without effect; Stripe responds 500 after the effect.
"""

CARDS = ("good", "declined", "3ds", "unrefundable")
_FAILED = "500"
_DECLINE = Decline("card_declined", "Your card was declined.")


@dataclass
class Intent:
    id: str
    amount_cents: int
    order_id: str
    payment_id: str
    status: str = "open"
    decline: Decline | None = None
    refundable: bool = True
    refunded: bool = False
    refund_refused: str | None = None
    was_authorised: bool = False

    @property
    def kept_cents(self) -> int:
        return self.amount_cents if self.status == "captured" and not self.refunded else 0

    def snapshot(self) -> StripeIntent:
        return StripeIntent(
            status=self.status,  # type: ignore[arg-type]
            id=self.id,
            amount_cents=self.amount_cents,
            kept_cents=self.kept_cents,
            order_id=self.order_id,
            payment_id=self.payment_id,
            client_secret=f"{self.id}_secret",
            decline=self.decline if self.status == "open" else None,
            is_refunded=self.refunded,
            refund_failure=self.refund_refused,
        )


@dataclass
class SimulatedStripe:
    """Has the methods of StripeApi. A call is two steps: the request and the response."""

    intents: dict[str, Intent] = field(default_factory=dict)
    events: list[StripeEvent] = field(default_factory=list)
    """Stripe may deliver each of them at any time, any number of times."""
    late_requests: list[Callable[[], object]] = field(default_factory=list)
    """Requests that arrive after the time-out of the caller."""
    _results: dict[str, str] = field(default_factory=dict)
    """By idempotency key: the id of the intent, or _FAILED, which is repeated."""

    async def create(self, new: NewIntent) -> StripeIntent:
        return await self._call(lambda: self._create(new), new.idempotency_key)

    async def find(self, payment_id: str, *_: object) -> StripeIntent | None:
        def find_newest() -> StripeIntent | None:
            found = [intent for intent in self.intents.values() if intent.payment_id == payment_id]
            return found[-1].snapshot() if found else None

        return await self._call(find_newest)

    async def retrieve(self, intent_id: str) -> StripeIntent:
        return await self._call(self.intents[intent_id].snapshot)

    async def confirm(self, intent_id: str, token: str) -> StripeIntent:
        return await self._call(lambda: self._confirm(self.intents[intent_id], token))

    async def capture(self, intent_id: str) -> StripeIntent:
        return await self._call(lambda: self._end(self.intents[intent_id], ("authorised",), "captured"))

    async def void(self, intent_id: str) -> StripeIntent:
        voidable = ("open", "action", "authorised")
        return await self._call(lambda: self._end(self.intents[intent_id], voidable, "canceled"))

    async def refund(self, intent: StripeIntent, key: str) -> StripeIntent:
        return await self._call(lambda: self._refund(self.intents[intent.id]), key)

    def authenticate(self, intent: Intent, *, success: bool) -> None:
        """Completes 3-D Secure as the buyer does at the bank."""
        self._decide(intent, None if success else _DECLINE)

    async def _call(self, effect: Callable[[], T], key: str | None = None) -> T:
        fault = await pause()
        if self._results.get(key or "") == _FAILED:
            raise _busy(key)
        if fault == "late":
            self.late_requests.append(lambda: None if self._results.get(key or "") == _FAILED else effect())
        if fault in ("lost", "late"):
            raise _busy()
        if fault == "failed":
            self._fail(key)
        result = effect()
        if fault == "failed after effect":
            self._fail(key)
        await pause()
        if fault == "no response":
            raise _busy()
        return result

    def _fail(self, key: str | None) -> NoReturn:
        if key:
            self._results[key] = _FAILED
        raise _busy(key)

    def _create(self, new: NewIntent) -> StripeIntent:
        if new.idempotency_key not in self._results:
            intent = Intent(f"pi_{len(self.intents)}", new.amount_cents, new.order_id, new.payment_id)
            self.intents[intent.id] = intent
            self._results[new.idempotency_key] = intent.id
        return self.intents[self._results[new.idempotency_key]].snapshot()

    def _confirm(self, intent: Intent, card: str) -> StripeIntent:
        if intent.status != "open":
            return intent.snapshot()
        intent.refundable = card != "unrefundable"
        if card == "3ds":
            intent.status, intent.decline = "action", None
        else:
            self._decide(intent, _DECLINE if card == "declined" else None)
        return intent.snapshot()

    def _decide(self, intent: Intent, decline: Decline | None) -> None:
        intent.status = "open" if decline else "authorised"
        intent.decline = decline
        intent.was_authorised = intent.was_authorised or not decline
        self._emit("payment_failed" if decline else "amount_capturable_updated", intent)

    def _end(self, intent: Intent, before: tuple[str, ...], after: str) -> StripeIntent:
        if intent.status in before:
            intent.status = after
            self._emit("succeeded" if after == "captured" else "canceled", intent)
        return intent.snapshot()

    def _refund(self, intent: Intent) -> StripeIntent:
        if intent.status == "captured" and not intent.refundable:
            intent.refund_refused = "charge_disputed"
        elif intent.status == "captured":
            intent.refunded = True
        return intent.snapshot()

    def _emit(self, kind: str, intent: Intent) -> None:
        self.events.append(StripeEvent(f"evt_{len(self.events)}", f"payment_intent.{kind}", intent.id))


def _busy(failed_key: str | None = None) -> StripeBusy:
    error = StripeBusy()
    error.needs_new_key = failed_key is not None
    return error
