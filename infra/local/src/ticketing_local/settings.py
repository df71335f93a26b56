"""The settings of the stack, from environment variables."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketing_local.errors import StackError


def _url(*schemes: str) -> AfterValidator:
    def check(url: str) -> str:
        if not url.strip().startswith(schemes):
            raise ValueError(f"it must begin with {' or '.join(schemes)}")
        return url.strip()

    return AfterValidator(check)


class Settings(BaseSettings):
    """A field's name in upper case is its environment variable."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    port: int = Field(8000, ge=1, le=65535)
    """The port of the ingress. All other processes get free ports."""
    data_dir: Path = Path(".data")
    expiration_window_seconds: int = Field(900, ge=1)
    """How long a buyer has to pay."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    # External stores. The stack starts a server of its own in place of each that is not set.
    mongo_url: Annotated[str, _url("mongodb://", "mongodb+srv://")] | None = None
    nats_url: Annotated[str, _url("nats://", "tls://")] | None = None
    redis_url: Annotated[str, _url("redis://", "rediss://", "unix://")] | None = None
    stripe_api_base: Annotated[str, _url("http://", "https://")] | None = None
    stripe_key: str | None = Field(None, repr=False)
    stripe_publishable_key: str | None = None
    stripe_webhook_secret: str | None = Field(None, repr=False)

    @model_validator(mode="after")
    def _check_stripe(self) -> Self:
        if (self.stripe_api_base is None) != (self.stripe_key is None):
            raise ValueError("set both STRIPE_API_BASE and STRIPE_KEY, or neither to use the stand-in")
        return self


def load_settings() -> Settings:
    """Raises StackError with every mistake in the environment."""
    try:
        return Settings()
    except ValidationError as error:
        mistakes = [
            ": ".join([*(str(name).upper() for name in e["loc"]), e["msg"].removeprefix("Value error, ")])
            for e in error.errors(include_input=False)
        ]
        raise StackError(f"Correct these environment variables. {'; '.join(mistakes)}.") from None
