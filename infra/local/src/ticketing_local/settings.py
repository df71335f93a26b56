"""What `make up` can be told, all of it by environment variables."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketing_local.errors import StackError


class Settings(BaseSettings):
    """Field names in upper case are the environment variables."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    port: int = Field(8000, ge=1, le=65535)
    """Where the ingress listens; every other port is found free."""
    data_dir: Path = Path(".data")
    """All that the market remembers; a later start finds it again."""
    expiration_window_seconds: int = Field(900, ge=1)
    """How long a buyer has to pay."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # Stores that run already. What is not named here is started.
    mongo_url: str | None = None
    nats_url: str | None = None
    redis_url: str | None = None
    stripe_api_base: str | None = None
    stripe_key: str | None = Field(None, repr=False)
    stripe_publishable_key: str | None = None
    stripe_webhook_secret: str | None = Field(None, repr=False)

    @model_validator(mode="after")
    def _stripe_is_named_wholly(self) -> Self:
        if (self.stripe_api_base is None) != (self.stripe_key is None):
            raise ValueError("set both STRIPE_API_BASE and STRIPE_KEY, or neither to use the stand-in")
        return self


def from_environment() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        mistakes = [
            f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" if e["loc"] else e["msg"]
            for e in error.errors(include_input=False)
        ]
        raise StackError(f"The environment is not right. {'; '.join(mistakes)}.") from None
