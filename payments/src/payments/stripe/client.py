"""The calls to Stripe. Only this sub-package imports the stripe package."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import stripe

from payments.stripe.models import Decline, IntentStatus, NewIntent, StripeIntent
from ticketing_common.observability.logs import get_logger
from ticketing_common.values.errors import MarketError, Unavailable

_TIMEOUT = 4.0
"""Seconds for one call."""
_CLOCK_SKEW = timedelta(minutes=1)
_WITH_CHARGE: list[str] = ["latest_charge"]
_STATUS: dict[str, IntentStatus] = {
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
    needs_new_key = False
    """Stripe has stored this error with the idempotency key for 24 hours, so a retry needs another key.

    Otherwise a retry must use the same key: the first call may still arrive at Stripe.
    """


class StripeBusy(StripeUnavailable):
    """A transient failure (no connection, a timeout, 409, 429 or 5xx): worth an immediate retry."""


class StripeApi:
    """Every method makes its calls once, without retries, and raises StripeUnavailable if one fails."""

    def __init__(self, key: str, base: str) -> None:
        self._http = stripe.HTTPXClient(timeout=_TIMEOUT)
        self._client = stripe.StripeClient(
            key, base_addresses={"api": base}, http_client=self._http, max_network_retries=0
        )
        self._intents = self._client.v1.payment_intents
        self._refunds = self._client.v1.refunds

    async def create(self, new: NewIntent) -> StripeIntent:
        """Create an intent, which moves no money yet. The same idempotency key returns the same intent."""
        with _translate_errors(has_key=True):
            return _to_intent(
                await self._intents.create_async(
                    {
                        "amount": new.amount_cents,
                        "currency": "usd",
                        "capture_method": "manual",
                        # Only payment methods that do not send the buyer to another site.
                        "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                        "metadata": {"orderId": new.order_id, "paymentId": new.payment_id},
                    },
                    {"idempotency_key": new.idempotency_key},
                )
            )

    async def find(self, payment_id: str, since: datetime, until: datetime) -> StripeIntent | None:
        """Find a payment's intent by its metadata, among all that were created in the period."""
        async for intent in self.list_created(since - _CLOCK_SKEW, until + _CLOCK_SKEW):
            if intent.payment_id == payment_id:
                return intent
        return None

    async def list_created(self, since: datetime, until: datetime) -> AsyncIterator[StripeIntent]:
        """All intents that were created in the period, newest first, 100 per call."""
        created: stripe.params.PaymentIntentListParamsCreated = {
            "gte": int(since.timestamp()),
            "lt": int(until.timestamp()),
        }
        with _translate_errors():
            page = await self._intents.list_async(
                {"created": created, "limit": 100, "expand": ["data.latest_charge"]}
            )
            async for intent in page.auto_paging_iter():
                yield _to_intent(intent)

    async def retrieve(self, intent_id: str) -> StripeIntent:
        try:
            with _translate_errors(except_for=stripe.InvalidRequestError):
                intent = _to_intent(await self._intents.retrieve_async(intent_id, {"expand": _WITH_CHARGE}))
                if intent.status == "captured" and not intent.is_refunded:
                    newest = (await self._refunds.list_async({"payment_intent": intent_id, "limit": 1})).data
                    return replace(intent, refund_failure=_failure_of(newest[0], intent) if newest else None)
                return intent
        except stripe.InvalidRequestError as error:
            return _missing(intent_id, error)

    async def confirm(self, intent_id: str, token: str) -> StripeIntent:
        """Ask the bank to authorise the amount. Raises UnknownToken; another token may then be tried.

        Safe to repeat, also concurrently: an intent that is authorised or canceled already is returned.
        """
        card: stripe.params.PaymentIntentConfirmParams = (
            {"payment_method": token}
            if token.startswith("pm_")
            else {"payment_method_data": {"type": "card", "card": {"token": token}}}  # type: ignore[typeddict-unknown-key]
        )
        try:
            with _translate_errors(except_for=(stripe.CardError, stripe.InvalidRequestError)):
                # The buyer authenticates in the browser, by Stripe's script.
                return _to_intent(
                    await self._intents.confirm_async(intent_id, {**card, "use_stripe_sdk": True})
                )
        except stripe.CardError as error:
            return StripeIntent(
                status="open", id=intent_id, decline=_to_decline(error.code, error.user_message)
            )
        except stripe.InvalidRequestError as error:
            if error.code in _WRONG_STATE:
                return await self.retrieve(intent_id)
            if error.http_status == 404:
                return _missing(intent_id, error)
            if error.param is None or error.param.startswith("payment_method"):
                raise UnknownToken(error.user_message, field="token", code=error.code) from None
            raise _unavailable(error) from error

    async def capture(self, intent_id: str) -> StripeIntent:
        """Take the authorised money. A repetition returns the captured intent."""
        return await self._end(intent_id, self._intents.capture_async)

    async def void(self, intent_id: str) -> StripeIntent:
        """Cancel the intent, which releases authorised money. A repetition returns the canceled intent."""
        return await self._end(intent_id, self._intents.cancel_async)

    async def _end(
        self, intent_id: str, call: Callable[..., Awaitable[stripe.PaymentIntent]]
    ) -> StripeIntent:
        try:
            with _translate_errors(except_for=stripe.InvalidRequestError):
                return _to_intent(await call(intent_id, {"expand": _WITH_CHARGE}))
        except stripe.InvalidRequestError as error:
            if error.code in _WRONG_STATE:
                return await self.retrieve(intent_id)
            return _missing(intent_id, error)

    async def refund(self, intent: StripeIntent, idempotency_key: str) -> StripeIntent:
        """Give back all that was captured. Returns the intent as refunded, or with the refund's failure."""
        metadata = {"orderId": intent.order_id or "", "paymentId": intent.payment_id or ""}
        refunded = replace(intent, is_refunded=True, kept_cents=0)
        try:
            with _translate_errors(except_for=stripe.InvalidRequestError, has_key=True):
                made = await self._refunds.create_async(
                    {"payment_intent": intent.id, "metadata": metadata}, {"idempotency_key": idempotency_key}
                )
        except stripe.InvalidRequestError as error:
            if error.code == "charge_already_refunded":
                return refunded
            if error.code in _REFUND_REFUSED:
                return replace(intent, refund_failure=error.code)
            raise _unavailable(error, has_key=True) from error
        failure = _failure_of(made, intent)
        return replace(intent, refund_failure=failure) if failure else refunded

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]


def _to_intent(intent: stripe.PaymentIntent) -> StripeIntent:
    charge = intent.latest_charge if isinstance(intent.latest_charge, stripe.Charge) else None
    refunded_cents = charge.amount_refunded if charge else 0
    error = intent.last_payment_error if intent.status == "requires_payment_method" else None
    metadata = intent.metadata.to_dict() if intent.metadata else {}
    is_captured = intent.status == "succeeded"
    return StripeIntent(
        status=_STATUS.get(intent.status, "open"),  # a status that is new at Stripe decides nothing
        id=intent.id,
        amount_cents=intent.amount,
        kept_cents=intent.amount_received - refunded_cents if is_captured else 0,
        order_id=metadata.get("orderId"),
        payment_id=metadata.get("paymentId"),
        client_secret=intent.client_secret,
        decline=_to_decline(error.code, error.message) if error else None,
        is_refunded=is_captured and refunded_cents >= intent.amount_received,
    )


def _to_decline(code: str | None, message: str | None) -> Decline:
    return Decline(code or "card_declined", message or "Your card was declined.")


def _failure_of(refund: stripe.Refund, intent: StripeIntent) -> str | None:
    """The reason why the refund failed; None if it did not fail, or if this service did not make it."""
    metadata: dict[str, Any] = refund.metadata.to_dict() if refund.metadata else {}
    if refund.status not in ("failed", "canceled") or metadata.get("paymentId") != intent.payment_id:
        return None
    return getattr(refund, "failure_reason", None) or "unknown"


def _missing(intent_id: str, error: stripe.InvalidRequestError) -> StripeIntent:
    if error.code != "resource_missing":
        raise _unavailable(error) from error
    return StripeIntent(status="missing", id=intent_id)


_Errors: TypeAlias = "type[stripe.StripeError] | tuple[type[stripe.StripeError], ...]"


@contextmanager
def _translate_errors(*, except_for: _Errors = (), has_key: bool = False) -> Iterator[None]:
    """Raises StripeUnavailable for Stripe's errors, except for those that the caller handles.

    `has_key`: the call carries an idempotency key.
    """
    try:
        yield
    except except_for:
        raise
    except stripe.StripeError as error:
        raise _unavailable(error, has_key=has_key) from error


def _unavailable(error: stripe.StripeError, *, has_key: bool = False) -> StripeUnavailable:
    status = error.http_status
    log.warning(
        "stripe call failed",
        error=type(error).__name__,
        reason=str(error.__cause__ or error)[:200],
        code=error.code,
        status=status,
        request=error.request_id,
    )
    if status is None or status in (409, 429):
        return StripeBusy()
    unavailable = StripeBusy() if status >= 500 else StripeUnavailable()
    unavailable.needs_new_key = has_key
    return unavailable
