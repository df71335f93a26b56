"""What `make up` can be told, all of it by environment variables."""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketing_local.errors import StackError

_SCHEMES = {
    "mongo_url": ("mongodb://", "mongodb+srv://"),
    "nats_url": ("nats://", "tls://"),
    "redis_url": ("redis://", "rediss://", "unix://"),
    "stripe_api_base": ("http://", "https://"),
}

Address = Annotated[str, StringConstraints(strip_whitespace=True)]


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
    mongo_url: Address | None = None
    nats_url: Address | None = None
    redis_url: Address | None = None
    stripe_api_base: Address | None = None
    stripe_key: str | None = Field(None, repr=False)
    stripe_publishable_key: str | None = None
    stripe_webhook_secret: str | None = Field(None, repr=False)

    @field_validator(*_SCHEMES)
    @classmethod
    def _is_an_address(cls, url: str | None, field: ValidationInfo) -> str | None:
        schemes = _SCHEMES[field.field_name or ""]
        if url is not None and not url.startswith(schemes):
            raise ValueError(f"it must begin with {' or '.join(schemes)}")
        try:
            urlsplit(url)
        except ValueError:  # its text may hold a part of a password
            raise ValueError("it is not a valid address") from None
        return url

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
            f"{'.'.join(map(str, e['loc'])).upper()}: {e['msg'].removeprefix('Value error, ')}"
            if e["loc"]
            else e["msg"]
            for e in error.errors(include_input=False)
        ]
        raise StackError(f"The environment is not right. {'; '.join(mistakes)}.") from None
