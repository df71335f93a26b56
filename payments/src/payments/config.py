"""What the payments service is told by its environment."""

from ticketing_common.config import Keys, MongoSettings, NatsSettings, Secret, SessionSettings


class Settings(MongoSettings, NatsSettings, SessionSettings):
    stripe_key: Secret
    """The secret API key (sk_...)."""
    stripe_webhook_secret: Keys
    """What Stripe signs its events with (whsec_...); several while it is rolled."""
    stripe_publishable_key: Secret
    """The key that browsers get (pk_...)."""
    stripe_api_base: str = "https://api.stripe.com"
    stripe_js: str = "https://js.stripe.com/v3/"
    """The script that browsers load; a path alone is one of the market's own site."""
