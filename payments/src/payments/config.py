"""What the payments service is told by its environment."""

from typing import Annotated

from ticketing_common.config import (
    MongoSettings,
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
    """What Stripe signs its events with; several while it is rolled."""
    stripe_publishable_key: Annotated[
        str, must_match(r"pk_(live|test)_\w+", "a publishable key (pk_...) of Stripe, live or test")
    ]
    """The key that browsers get, which is public."""
    stripe_api_base: str = "https://api.stripe.com"
    stripe_js: str = "https://js.stripe.com/v3/"
    """The script that browsers load; a path alone is one of the market's own site."""
