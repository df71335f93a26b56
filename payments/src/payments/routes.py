"""The HTTP routes of the payments service."""

from typing import Annotated

from fastapi import APIRouter, Depends

from payments.authorisation import pay
from payments.config import Settings
from payments.repository import Payments
from payments.schemas import ConfigOut, PaymentIn, PaymentOut
from payments.stripe_api import StripeApi
from ticketing_common.app import part
from ticketing_common.auth import CurrentUser

PREFIX = "/api/payments"
router = APIRouter(prefix=PREFIX, tags=["payments"])

PaymentsDep = Annotated[Payments, Depends(part("payments"))]
StripeDep = Annotated[StripeApi, Depends(part("stripe"))]
SettingsDep = Annotated[Settings, Depends(part("settings"))]


@router.post("", status_code=201)
async def pay_for_order(
    body: PaymentIn, user: CurrentUser, payments: PaymentsDep, stripe: StripeDep
) -> PaymentOut:
    """Pay for one's order: the amount is authorised now, and taken once the order is complete."""
    payment = await pay(body.order_id, user.id, body.token, payments, stripe)
    return PaymentOut(id=payment.id)


@router.get("/config")
async def config_for_browsers(settings: SettingsDep) -> ConfigOut:
    """What a browser needs to load Stripe."""
    return ConfigOut(publishable_key=settings.stripe_publishable_key, stripe_js=settings.stripe_js)
