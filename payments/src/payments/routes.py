"""Every HTTP route of the payments service."""

from fastapi import APIRouter

from payments.payment import routes as payment
from payments.webhooks import routes as webhooks

router = APIRouter(prefix="/api/payments", routes=[*payment.router.routes, *webhooks.router.routes])
