"""The bodies of the payment routes."""

from typing import Annotated

from pydantic import Field, Secret
from pydantic.json_schema import SkipJsonSchema

from ticketing_common.values.wire import ErrorMessage, RequestBody, WireModel


class PaymentIn(RequestBody):
    order_id: Annotated[str, Field(max_length=200), ErrorMessage("OrderId must be the id of an order")]
    token: Annotated[
        Secret[Annotated[str, Field(pattern=r"^(tok|pm)_[A-Za-z0-9_]{1,200}$")]],
        Field(description="tok_... or pm_..."),
        ErrorMessage("Token must be a card token (tok_...) or a payment method (pm_...) of Stripe"),
    ]


class PaymentOut(WireModel):
    id: str
    client_secret: str | SkipJsonSchema[None] = None
    """Present when the buyer has to authenticate at the bank (3-D Secure)."""


class ConfigOut(WireModel):
    publishable_key: str
    stripe_js: str
