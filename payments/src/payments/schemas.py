"""The bodies of the payments service on the wire."""

from typing import Annotated

from pydantic import Field, Secret
from pydantic.json_schema import SkipJsonSchema

from ticketing_common.wire import Body, Says, Wire


class PaymentIn(Body):
    order_id: Annotated[str, Field(max_length=200), Says("OrderId must be the id of an order")]
    token: Annotated[
        Secret[Annotated[str, Field(pattern=r"^(tok|pm)_[A-Za-z0-9_]{1,200}$")]],
        Field(description="tok_... or pm_..."),
        Says("Token must be a card token (tok_...) or a payment method (pm_...) of Stripe"),
    ]


class PaymentOut(Wire):
    id: str
    client_secret: str | SkipJsonSchema[None] = None
    """There when the bank wants the buyer (3-D Secure)."""


class Received(Wire):
    pass


class ConfigOut(Wire):
    publishable_key: str
    stripe_js: str
