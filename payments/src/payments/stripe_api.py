"""The only import of the stripe package: what we ask of Stripe, and its answers in our own words."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

import stripe

from payments.config import Settings
from payments.models import Payment
from ticketing_common.errors import MarketError, Unavailable
from ticketing_common.logs import get_logger

_TIMEOUT = 3.0
_RETRIES = 2
"""Seconds for one try of a call, and how often it is tried again: a call takes at most about 10 s."""

log = get_logger(__name__)


class UnknownToken(MarketError):
    message = "The card token is not valid"


@dataclass(frozen=True)
class Decline:
    code: str
    message: str
    """For the buyer."""


Answer = Literal["authorised", "canceled"] | Decline


class StripeUnavailable(Unavailable):
    message = "The payment service can't be reached at the moment, please try again"


_Act = Callable[[str], Awaitable[stripe.PaymentIntent]]


class StripeApi:
    """Every method raises StripeUnavailable when Stripe cannot be reached or is in trouble."""

    def __init__(self, settings: Settings) -> None:
        self._http = stripe.HTTPXClient(timeout=_TIMEOUT)
        self._client = stripe.StripeClient(
            settings.stripe_key,
            base_addresses={"api": settings.stripe_api_base},
            http_client=self._http,
            max_network_retries=_RETRIES,
        )
        self._intents = self._client.v1.payment_intents

    async def create_intent(self, payment: Payment) -> str:
        """The id of the payment's intent, which costs nobody anything yet; the same one when repeated."""
        try:
            intent = await self._intents.create_async(
                {
                    "amount": payment.amount_cents,
                    "currency": "usd",
                    "capture_method": "manual",
                    # No method that sends the buyer to another site.
                    "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                    "metadata": {"orderId": payment.order_id, "paymentId": payment.id},
                },
                {"idempotency_key": payment.id},
            )
        except stripe.StripeError as error:
            raise _unavailable(error) from error
        return intent.id

    async def confirm(self, intent_id: str, token: str) -> Answer:
        """Ask the bank. Raises UnknownToken, after which another token may be tried.

        Safe to repeat and to do twice at once: an intent that was authorised or canceled says so.
        """
        card: stripe.params.PaymentIntentConfirmParams = (
            {"payment_method": token}
            if token.startswith("pm_")
            else {"payment_method_data": {"type": "card", "card": {"token": token}}}  # type: ignore[typeddict-unknown-key]
        )
        try:
            # Without the buyer at hand a card that wants authentication is declined.
            intent = await self._intents.confirm_async(intent_id, {**card, "error_on_requires_action": True})
        except stripe.CardError as error:
            return Decline(error.code or "card_declined", error.user_message or "Your card was declined.")
        except stripe.InvalidRequestError as error:
            if error.code == "payment_intent_unexpected_state":
                return _answer(await self._retrieve(intent_id))
            if error.param is not None and error.param.startswith("payment_method"):
                raise UnknownToken(error.user_message, field="token", code=error.code) from None
            raise _unavailable(error) from error
        except stripe.StripeError as error:
            raise _unavailable(error) from error
        return _answer(intent)

    async def capture(self, intent_id: str) -> None:
        """Take the money; a repetition finds it taken."""
        await self._finish(self._intents.capture_async, intent_id, "succeeded")

    async def void(self, intent_id: str) -> None:
        """Release what was authorised, and let nothing be any more; a repetition finds it done."""
        await self._finish(self._intents.cancel_async, intent_id, "canceled")

    async def _finish(self, act: _Act, intent_id: str, wanted: str) -> None:
        try:
            intent = await act(intent_id)
        except stripe.InvalidRequestError as error:
            if error.code != "payment_intent_unexpected_state":
                raise _unavailable(error) from error
            intent = await self._retrieve(intent_id)
        except stripe.StripeError as error:
            raise _unavailable(error) from error
        if intent.status != wanted:
            log.error("an intent cannot be finished", intent=intent_id, status=intent.status, wanted=wanted)
            raise StripeUnavailable

    async def _retrieve(self, intent_id: str) -> stripe.PaymentIntent:
        try:
            return await self._intents.retrieve_async(intent_id)
        except stripe.StripeError as error:
            raise _unavailable(error) from error

    async def close(self) -> None:
        await self._http.close_async()  # type: ignore[no-untyped-call]


def _answer(intent: stripe.PaymentIntent) -> Answer:
    if intent.status in ("requires_capture", "succeeded"):
        return "authorised"
    if intent.status == "canceled":
        return "canceled"
    raise StripeUnavailable  # another call is about to decide it


def _unavailable(error: stripe.StripeError) -> StripeUnavailable:
    log.warning("stripe failed", error=type(error).__name__, code=error.code, request=error.request_id)
    return StripeUnavailable()
