"""The route that receives Stripe's events."""

from typing import Annotated

from fastapi import Depends, Header, Request

from payments.config import Settings
from payments.payment.repository import Payments
from payments.stripe.client import StripeApi
from payments.stripe.signatures import verify_signature
from payments.webhooks.models import parse_event
from payments.webhooks.repository import ProcessedEvents
from payments.webhooks.schemas import Received
from payments.webhooks.use_cases import process_event
from ticketing_common.http.app import api_router, app_state

router = api_router("/api/payments/webhook", "payments")

ProcessedEventsDep = Annotated[ProcessedEvents, Depends(app_state("processed_events"))]
PaymentsDep = Annotated[Payments, Depends(app_state("payments"))]
StripeDep = Annotated[StripeApi, Depends(app_state("stripe"))]
SettingsDep = Annotated[Settings, Depends(app_state("settings"))]


@router.post("")
async def webhook(
    request: Request,
    processed: ProcessedEventsDep,
    payments: PaymentsDep,
    stripe: StripeDep,
    settings: SettingsDep,
    stripe_signature: Annotated[str, Header()] = "",
) -> Received:
    """For Stripe: its signed events."""
    body = await request.body()
    verify_signature(body, stripe_signature, settings.stripe_webhook_secret)
    await process_event(processed, payments, stripe, parse_event(body))
    return Received()
