"""What we ask of Stripe, and its answers in our own words; only stripe_events imports the package, too."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

import stripe

from payments.models import Decline, Payment, Seen
from ticketing_common.observability.logs import get_logger
from ticketing_common.values.errors import MarketError, Unavailable

_TIMEOUT = 4.0
"""Seconds for one call."""
_CLOCK_SKEW = timedelta(minutes=1)
_WITH_CHARGE: list[str] = ["latest_charge"]
_STATUS: dict[str, Literal["open", "action", "authorised", "captured", "canceled"]] = {
    "requires_payment_method": "open",
    "requires_confirmation": "open",
    "processing": "open",
    "requires_action": "action",
    "requires_capture": "authorised",
    "succeeded": "captured",
    "canceled": "canceled",
}
_WRONG_STATE = ("payment_intent_unexpected_state", "charge_expired_for_capture")
_REFUND_REFUSED = ("charge_disputed", "charge_not_refundable")

log = get_logger(__name__)


class UnknownToken(MarketError):
    message = "The card token is not valid"


class StripeUnavailable(Unavailable):
    message = "The payment service can't be reached at the moment, please try again"
    key_is_spent = False
    """Stripe would repeat this answer under the call's idempotency key for 24 hours, whatever was done.

    Only then may the key be given up: under a key without an answer a call may still be on its way.
    """


class StripeBusy(StripeUnavailable):
    """No connection, no answer in time, a 5xx, or an answer that asks for patience: worth a repetition."""


class StripeApi:
    """Every method raises StripeUnavailable when Stripe is out of reach or in trouble; none tries twice."""

    def __init__(self, key: str, base: str) -> None:
        self._http = stripe.HTTPXClient(timeout=_TIMEOUT)
        self._client = stripe.StripeClient(
            key, base_addresses={"api": base}, http_client=self._http, max_network_retries=0
        )
        self._intents = self._client.v1.payment_intents
        self._refunds = self._client.v1.refunds

    async def create(self, payment: Payment) -> Seen:
        """The payment's intent, which costs nobody anything yet; the same one when repeated."""
        with _in_our_words(keyed=True):
            return _seen(
                await self._intents.create_async(
                    {
                        "amount": payment.amount_cents,
                        "currency": "usd",
                        "capture_method": "manual",
                        # No method that sends the buyer to another site.
                        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                        "metadata": {"orderId": payment.order_id, "paymentId": payment.id},
                    },
                    {"idempotency_key": f"{payment.id}:intent:{payment.key_no}"},
                )
            )

    async def find(self, payment: Payment) -> Seen | None:
        """The payment's intent when its id was not noted, among all that were made while it could be paid."""
        assert payment.begun_at is not None
        async for seen in self.intents(payment.begun_at - _CLOCK_SKEW, payment.expires_at + _CLOCK_SKEW):
            if seen.payment_id == payment.id:
                return seen
        return None

    async def intents(self, since: datetime, until: datetime) -> AsyncIterator[Seen]:
        """All intents that were made in a period, newest first, a hundred a call."""
        created: stripe.params.PaymentIntentListParamsCreated = {
            "gte": int(since.timestamp()),
            "lt": int(until.timestamp()),
        }
        with _in_our_words():
            page = await self._intents.list_async(
                {"created": created, "limit": 100, "expand": ["data.latest_charge"]}
            )
            async for intent in page.auto_paging_iter():
                yield _seen(intent)

    async def look(self, intent_id: str) -> Seen:
        """What Stripe has now."""
        try:
            with _in_our_words(but=stripe.InvalidRequestError):
                seen = _seen(await self._intents.retrieve_async(intent_id, {"expand": _WITH_CHARGE}))
                if seen.status == "captured" and not seen.refunded:
                    newest = (await self._refunds.list_async({"payment_intent": intent_id, "limit": 1})).data
                    return replace(seen, refund_refused=_refusal(newest[0], seen) if newest else None)
                return seen
        except stripe.InvalidRequestError as error:
            return _missing(intent_id, error)

    async def confirm(self, intent_id: str, token: str) -> Seen:
        """Ask the bank. Raises UnknownToken, after which another token may be tried.

        Safe to repeat and to do twice at once: an intent that was authorised or canceled says so.
        """
        card: stripe.params.PaymentIntentConfirmParams = (
            {"payment_method": token}
            if token.startswith("pm_")
            else {"payment_method_data": {"type": "card", "card": {"token": token}}}  # type: ignore[typeddict-unknown-key]
        )
        try:
            with _in_our_words(but=(stripe.CardError, stripe.InvalidRequestError)):
                # The browser helps the buyer to authenticate, by Stripe's script.
                return _seen(await self._intents.confirm_async(intent_id, {**card, "use_stripe_sdk": True}))
        except stripe.CardError as error:
            decline = _decline(error.code, error.user_message)
            return Seen(status="open", stripe_id=intent_id, decline=decline)
        except stripe.InvalidRequestError as error:
            if error.code in _WRONG_STATE:
                return await self.look(intent_id)
            if error.http_status == 404:
                return _missing(intent_id, error)
            if error.param is None or error.param.startswith("payment_method"):
                raise UnknownToken(error.user_message, field="token", code=error.code) from None
            raise _unavailable(error) from error

    async def capture(self, intent_id: str) -> Seen:
        """Take the money; a repetition finds it taken."""
        return await self._finish(intent_id, self._intents.capture_async)

    async def void(self, intent_id: str) -> Seen:
        """Release what was authorised, and let nothing be any more; a repetition finds it done."""
        return await self._finish(intent_id, self._intents.cancel_async)

    async def _finish(self, intent_id: str, act: Callable[..., Awaitable[stripe.PaymentIntent]]) -> Seen:
        try:
            with _in_our_words(but=stripe.InvalidRequestError):
                return _seen(await act(intent_id, {"expand": _WITH_CHARGE}))
        except stripe.InvalidRequestError as error:
            if error.code in _WRONG_STATE:
                return await self.look(intent_id)
            return _missing(intent_id, error)

    async def refund(self, intent_id: str, key: str) -> Seen:
        """Give back all that was taken; a repetition finds it given back, or why it was refused."""
        seen = await self.look(intent_id)
        if seen.status != "captured" or seen.refunded or seen.refund_refused:
            return seen
        metadata = {"orderId": seen.order_id or "", "paymentId": seen.payment_id or ""}
        try:
            with _in_our_words(but=stripe.InvalidRequestError, keyed=True):
                refund = await self._refunds.create_async(
                    {"payment_intent": intent_id, "metadata": metadata}, {"idempotency_key": key}
                )
        except stripe.InvalidRequestError as error:
            if error.code == "charge_already_refunded":
                return replace(seen, refunded=True, taken_cents=0)
            if error.code in _REFUND_REFUSED:
                return replace(seen, refund_refused=error.code)
            raise _unavailable(error, keyed=True) from error
        if refused := _refusal(refund, seen):
            return replace(seen, refund_refused=refused)
        return replace(seen, refunded=True, taken_cents=0)

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]


def _seen(intent: stripe.PaymentIntent) -> Seen:
    charge = intent.latest_charge if isinstance(intent.latest_charge, stripe.Charge) else None
    given_back = charge.amount_refunded if charge else 0
    failed = intent.last_payment_error if intent.status == "requires_payment_method" else None
    metadata = intent.metadata.to_dict() if intent.metadata else {}
    captured = intent.status == "succeeded"
    return Seen(
        status=_STATUS.get(intent.status, "open"),  # what Stripe may invent yet decides nothing
        stripe_id=intent.id,
        amount_cents=intent.amount,
        taken_cents=intent.amount_received - given_back if captured else 0,
        order_id=metadata.get("orderId"),
        payment_id=metadata.get("paymentId"),
        client_secret=intent.client_secret,
        decline=_decline(failed.code, failed.message) if failed else None,
        refunded=captured and given_back >= intent.amount_received,
    )


def _decline(code: str | None, message: str | None) -> Decline:
    return Decline(code or "card_declined", message or "Your card was declined.")


def _refusal(refund: stripe.Refund, seen: Seen) -> str | None:
    """Why the refund failed, if it is ours and did."""
    metadata: dict[str, Any] = refund.metadata.to_dict() if refund.metadata else {}
    if refund.status not in ("failed", "canceled") or metadata.get("paymentId") != seen.payment_id:
        return None
    return getattr(refund, "failure_reason", None) or "unknown"


def _missing(intent_id: str, error: stripe.InvalidRequestError) -> Seen:
    if error.code != "resource_missing":
        raise _unavailable(error) from error
    return Seen(status="missing", stripe_id=intent_id)


_Errors: TypeAlias = "type[stripe.StripeError] | tuple[type[stripe.StripeError], ...]"


@contextmanager
def _in_our_words(*, but: _Errors = (), keyed: bool = False) -> Iterator[None]:
    """Raises StripeUnavailable for every error of Stripe's `but` those that the caller reads.

    `keyed`: the call bears an idempotency key of ours.
    """
    try:
        yield
    except but:
        raise
    except stripe.StripeError as error:
        raise _unavailable(error, keyed=keyed) from error


def _unavailable(error: stripe.StripeError, *, keyed: bool = False) -> StripeUnavailable:
    status = error.http_status
    log.warning(
        "stripe failed",
        error=type(error).__name__,
        reason=str(error.__cause__ or error)[:200],
        code=error.code,
        status=status,
        request=error.request_id,
    )
    if status is None or status in (409, 429):
        return StripeBusy()
    unavailable = StripeBusy() if status >= 500 else StripeUnavailable()
    unavailable.key_is_spent = keyed
    return unavailable
