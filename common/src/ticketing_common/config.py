"""Settings: read once from the environment; what is missing or wrong is named, and the start stops."""

import sys
from typing import Annotated, Literal, TypeVar

from pydantic import BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ticketing_common.logs import LogFormat

Secret = Annotated[str, Field(min_length=1, repr=False)]
"""A value that must be there and must not be printed."""

Keys = Annotated[
    list[str],
    NoDecode,
    BeforeValidator(lambda value: [k.strip() for k in value.split(",") if k.strip()]),
    Field(min_length=1, repr=False),
]
"""Several secrets, comma-separated: the first is used, all are accepted (rotation)."""


class Settings(BaseSettings):
    """What every service is told. Field names in upper case are the environment variables."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    host: str = "0.0.0.0"
    port: int = 3000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: LogFormat = "json"


class MongoSettings(Settings):
    """For the services that keep something."""

    mongo_uri: Secret
    """With the database's name as its path: mongodb://host:27017/orders"""


class NatsSettings(Settings):
    """For the services that publish or follow events."""

    nats_url: str
    nats_replicas: int = Field(1, ge=1, le=5)
    """How many servers keep the stream; the same for every service, for each of them makes sure of it."""


class SessionSettings(Settings):
    """For the services that know who is asking."""

    jwt_key: Keys
    cookie_secure: bool = True


S = TypeVar("S", bound=Settings)


def load(kind: type[S], service: str) -> S:
    """The settings from the environment; else says what is missing or wrong, and exits with status 1."""
    try:
        return kind()
    except ValidationError as error:
        for e in error.errors(include_input=False):
            name = str(e["loc"][0]).upper()
            what = "is not set" if e["type"] == "missing" else f"is not valid: {e['msg']}"
            print(f"{service} cannot start: the environment variable {name} {what}", file=sys.stderr)
        raise SystemExit(1) from None
