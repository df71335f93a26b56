"""The HTTP routes of the payments service."""

from typing import Annotated

from fastapi import Depends, Header, Request, Response

from payments.authorisation import pay
from payments.config import Settings
from payments.repository import Payments
from payments.schemas import ConfigOut, PaymentIn, PaymentOut, Received
from payments.stripe_api import StripeApi
from payments.stripe_events import read_event
from payments.webhook import hear
from ticketing_common.http.app import api_router, app_state
from ticketing_common.http.sessions import CurrentUser

PREFIX = "/api/payments"
router = api_router(PREFIX, "payments")

PaymentsDep = Annotated[Payments, Depends(app_state("payments"))]
StripeDep = Annotated[StripeApi, Depends(app_state("stripe"))]
SettingsDep = Annotated[Settings, Depends(app_state("settings"))]


@router.post(
    "",
    status_code=201,
    response_model_exclude_none=True,
    responses={202: {"model": PaymentOut, "description": "The bank wants the buyer (3-D Secure)"}},
)
async def pay_for_order(
    body: PaymentIn, response: Response, user: CurrentUser, payments: PaymentsDep, stripe: StripeDep
) -> PaymentOut:
    """Pay for one's order: the amount is authorised now, and taken once the order is complete.

    202: bring the buyer to the bank with the `clientSecret`; then repeat the call, or wait for the order.
    """
    done = await pay(body.order_id, user.id, body.token.get_secret_value(), payments, stripe)
    if done.client_secret:
        response.status_code = 202
    return PaymentOut(id=done.payment_id, client_secret=done.client_secret)


@router.post("/webhook")
async def webhook(
    request: Request,
    payments: PaymentsDep,
    stripe: StripeDep,
    settings: SettingsDep,
    stripe_signature: Annotated[str, Header()] = "",
) -> Received:
    """For Stripe: its signed events."""
    event = read_event(await request.body(), stripe_signature, settings.stripe_webhook_secret)
    await hear(event, payments, stripe)
    return Received()


@router.get("/config")
async def config_for_browsers(settings: SettingsDep) -> ConfigOut:
    """What a browser needs to load Stripe."""
    return ConfigOut(publishable_key=settings.stripe_publishable_key, stripe_js=settings.stripe_js)
