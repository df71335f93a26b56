"""The settings, read from environment variables and checked before anything starts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError


class SettingsError(Exception):
    """A variable is missing or invalid; the text names it."""


class Settings(BaseModel, frozen=True):
    port: int = Field(gt=0, lt=65536)
    data_dir: Path
    stripe_key: str
    stripe_publishable_key: str | None = None
    host: str = "127.0.0.1"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    webhook_url: str | None = None
    stripe_webhook_secret: str = ""

    @property
    def webhook_secrets(self) -> list[str]:
        return [secret.strip() for secret in self.stripe_webhook_secret.split(",") if secret.strip()]


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Raises SettingsError. An empty variable counts as missing."""
    values = {name: environment.get(name.upper(), "").strip() for name in Settings.model_fields}
    values["log_level"] = values["log_level"].lower()
    try:
        settings = Settings.model_validate({name: value for name, value in values.items() if value})
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).upper()
        problem = "not set" if first["type"] == "missing" else f"{first['input']!r}: {first['msg']}"
        raise SettingsError(f"{name} is {problem}") from None
    if bool(settings.webhook_url) != bool(settings.webhook_secrets):
        raise SettingsError("WEBHOOK_URL and STRIPE_WEBHOOK_SECRET must be set together")
    return settings
