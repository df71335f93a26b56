"""The secrets of one local market: made up at its first start, kept in its folder, the same ever after."""

import secrets

from ticketing_local.env_file import read_env_file, write_env_file
from ticketing_local.settings import Settings


def keys(settings: Settings) -> dict[str, str]:
    """What is named in the environment, else what was made up before, else something new."""
    path = settings.data_dir / "secrets.env"
    kept = read_env_file(path) if path.exists() else {}
    made_up = {
        "JWT_KEY": secrets.token_hex(32),
        "STRIPE_KEY": f"sk_test_{secrets.token_hex(16)}",
        "STRIPE_PUBLISHABLE_KEY": f"pk_test_{secrets.token_hex(16)}",
        "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(16)}",
    }
    if made_up.keys() - kept.keys():
        kept = made_up | kept
        write_env_file(path, kept)
    named = {
        "STRIPE_KEY": settings.stripe_key,
        "STRIPE_PUBLISHABLE_KEY": settings.stripe_publishable_key,
        "STRIPE_WEBHOOK_SECRET": settings.stripe_webhook_secret,
    }
    return kept | {key: value for key, value in named.items() if value}
