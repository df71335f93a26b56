"""The routes by which a buyer pays."""

from typing import Annotated

from fastapi import Depends, Response

from payments.config import Settings
from payments.payment.repository import Payments
from payments.payment.schemas import ConfigOut, PaymentIn, PaymentOut
from payments.payment.use_cases import pay
from payments.stripe.client import StripeApi
from ticketing_common.http.app import api_router, app_state
from ticketing_common.http.sessions import CurrentUser

router = api_router("/api/payments", "payments")

PaymentsDep = Annotated[Payments, Depends(app_state("payments"))]
StripeDep = Annotated[StripeApi, Depends(app_state("stripe"))]
SettingsDep = Annotated[Settings, Depends(app_state("settings"))]


@router.post(
    "",
    status_code=201,
    response_model_exclude_none=True,
    responses={
        202: {"model": PaymentOut, "description": "The buyer has to authenticate at the bank (3-D Secure)"}
    },
)
async def pay_for_order(
    body: PaymentIn, response: Response, user: CurrentUser, payments: PaymentsDep, stripe: StripeDep
) -> PaymentOut:
    """Pay for an order: authorises the amount now, and captures it once the order is complete.

    202: let the buyer authenticate with the `clientSecret`; then repeat the request, or wait for the order.
    """
    authorisation = await pay(payments, stripe, body.order_id, user.id, body.token.get_secret_value())
    if authorisation.client_secret:
        response.status_code = 202
    return PaymentOut(id=authorisation.payment_id, client_secret=authorisation.client_secret)


@router.get("/config")
async def config_for_browsers(settings: SettingsDep) -> ConfigOut:
    """What a browser needs to load Stripe."""
    return ConfigOut(publishable_key=settings.stripe_publishable_key, stripe_js=settings.stripe_js)
