"""Stripe as the payments service sees it: intents, and a network that may lose, hold up or break any call.

What it keeps from happening twice is what Stripe does: an intent is authorised, captured and refunded once.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from simulation import pause

from payments.stripe.client import StripeBusy
from payments.stripe.models import Decline, NewIntent, StripeIntent
from payments.webhooks.models import StripeEvent

TROUBLES = ("lost", "late", "unanswered", "failed", "failed after all")
"""What may become of a call: it never arrives; it arrives when the caller has given up; its answer does not;
Stripe answers 500 and has done nothing; or has done it.
"""

CARDS = ("good", "declined", "3ds", "unrefundable")
FAILED = "500"
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

    def seen(self) -> StripeIntent:
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
class Stripe:
    """Has StripeApi's methods, each a call to arrive and an answer to come back."""

    intents: dict[str, Intent] = field(default_factory=dict)
    events: list[StripeEvent] = field(default_factory=list)
    """Every webhook that Stripe has to deliver, and may deliver again."""
    held_up: list[Callable[[], object]] = field(default_factory=list)
    """Calls whose callers have given up, and that arrive all the same."""
    _answers: dict[str, str] = field(default_factory=dict)
    """By idempotency key: the intent that it got, or FAILED, which is repeated."""

    async def create(self, new: NewIntent) -> StripeIntent:
        return await self._call(lambda: self._create(new), new.idempotency_key)

    async def find(self, payment_id: str, *_: object) -> StripeIntent | None:
        def newest() -> StripeIntent | None:
            made = [intent for intent in self.intents.values() if intent.payment_id == payment_id]
            return made[-1].seen() if made else None

        return await self._call(newest)

    async def retrieve(self, intent_id: str) -> StripeIntent:
        return await self._call(self.intents[intent_id].seen)

    async def confirm(self, intent_id: str, token: str) -> StripeIntent:
        return await self._call(lambda: self._confirm(self.intents[intent_id], token))

    async def capture(self, intent_id: str) -> StripeIntent:
        return await self._call(lambda: self._end(self.intents[intent_id], ("authorised",), "captured"))

    async def void(self, intent_id: str) -> StripeIntent:
        held = ("open", "action", "authorised")
        return await self._call(lambda: self._end(self.intents[intent_id], held, "canceled"))

    async def refund(self, intent: StripeIntent, key: str) -> StripeIntent:
        return await self._call(lambda: self._refund(self.intents[intent.id]), key)

    def authenticate(self, intent: Intent, *, success: bool) -> None:
        """What the buyer does at the bank."""
        self._decide(intent, None if success else _DECLINE)

    async def _call(self, effect: Callable[[], Any], key: str | None = None) -> Any:
        trouble = await pause()
        if self._answers.get(key or "") == FAILED:
            raise _busy(key)
        if trouble == "late":
            self.held_up.append(lambda: None if self._answers.get(key or "") == FAILED else effect())
        if trouble in ("lost", "late"):
            raise _busy()
        answer = None if trouble == "failed" else effect()
        if trouble in ("failed", "failed after all"):
            if key:
                self._answers[key] = FAILED
            raise _busy(key)
        await pause()
        if trouble == "unanswered":
            raise _busy()
        return answer

    def _create(self, new: NewIntent) -> StripeIntent:
        if new.idempotency_key not in self._answers:
            intent = Intent(f"pi_{len(self.intents)}", new.amount_cents, new.order_id, new.payment_id)
            self.intents[intent.id] = intent
            self._answers[new.idempotency_key] = intent.id
        return self.intents[self._answers[new.idempotency_key]].seen()

    def _confirm(self, intent: Intent, card: str) -> StripeIntent:
        if intent.status != "open":
            return intent.seen()
        intent.refundable = card != "unrefundable"
        if card == "3ds":
            intent.status, intent.decline = "action", None
        else:
            self._decide(intent, _DECLINE if card == "declined" else None)
        return intent.seen()

    def _decide(self, intent: Intent, decline: Decline | None) -> None:
        intent.status = "open" if decline else "authorised"
        intent.decline = decline
        intent.was_authorised = intent.was_authorised or not decline
        self._tell("payment_failed" if decline else "amount_capturable_updated", intent)

    def _end(self, intent: Intent, before: tuple[str, ...], after: str) -> StripeIntent:
        if intent.status in before:
            intent.status = after
            self._tell("succeeded" if after == "captured" else "canceled", intent)
        return intent.seen()

    def _refund(self, intent: Intent) -> StripeIntent:
        if intent.status == "captured" and not intent.refundable:
            intent.refund_refused = "charge_disputed"
        elif intent.status == "captured":
            intent.refunded = True
        return intent.seen()

    def _tell(self, what: str, intent: Intent) -> None:
        self.events.append(StripeEvent(f"evt_{len(self.events)}", f"payment_intent.{what}", intent.id))


def _busy(spent_key: str | None = None) -> StripeBusy:
    error = StripeBusy()
    error.needs_new_key = spent_key is not None
    return error
