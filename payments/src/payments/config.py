"""The settings of the payments service and of the reconciliation command."""

from typing import Annotated

from pydantic import Field

from ticketing_common.config import (
    MongoSettings,
    MongoUri,
    NatsSettings,
    Secret,
    SecretList,
    SessionSettings,
    must_match,
)

StripeKey = Annotated[
    Secret,
    must_match(
        r"[sr]k_(live|test)_\w+", "a secret key (sk_...) or a restricted key (rk_...) of Stripe, live or test"
    ),
]


class Settings(MongoSettings, NatsSettings, SessionSettings):
    stripe_key: StripeKey
    stripe_webhook_secret: Annotated[
        SecretList, must_match(r"whsec_[\w+/=-]+", "signing secrets of Stripe (whsec_...), comma-separated")
    ]
    """Stripe signs its events with one of these; there are several while the secret is rotated."""
    stripe_publishable_key: Annotated[
        str, must_match(r"pk_(live|test)_\w+", "a publishable key (pk_...) of Stripe, live or test")
    ]
    """Public: sent to browsers."""
    stripe_api_base: str = "https://api.stripe.com"
    stripe_js: str = "https://js.stripe.com/v3/"
    """The script that browsers load: a URL, or a path on this site."""


class ReconciliationSettings(MongoSettings):
    stripe_key: StripeKey
    stripe_api_base: str = "https://api.stripe.com"
    mongo_uri_orders: MongoUri | None = Field(None, repr=False)
    """The database of the orders service, read only."""
