"""Settings from environment variables. At start-up a process exits if one is missing or invalid."""

import re
import sys
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ticketing_common.observability.logs import LogFormat, redact_output
from ticketing_common.observability.redaction import hide_value

S = TypeVar("S", bound="Settings")
T = TypeVar("T", str, list[str])

_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s/?#@:,\[\]]+)(?::[0-9]{1,5})?"
_USER = r"(?:[^\s/?#@]*@)?"
_MONGO_URI = rf"mongodb(?:\+srv)?://{_USER}{_HOST}(?:,{_HOST})*/[^\s/\\.\"$*<>:|?@%]{{1,63}}(?:\?\S*)?"
_NATS_SERVER = rf"(?:nats|tls|wss?)://{_USER}{_HOST}/?"
_REDIS_URL = rf"rediss?://{_USER}{_HOST}(?:/[0-9]*)?(?:\?\S*)?|unix://\S+"


def must_match(pattern: str, form: str) -> AfterValidator:
    """Validates the form of a string or of all strings in a list. The error does not contain the value."""
    whole = re.compile(pattern)

    def check(value: T) -> T:
        for each in [value] if isinstance(value, str) else value:
            if not whole.fullmatch(each):
                raise PydanticCustomError("form", "it must be {form}", {"form": form})
        return value

    return AfterValidator(check)


def _hide(secret: str) -> str:
    hide_value(secret)
    return secret


def _hide_credentials(urls: str) -> str:
    """Hides the credentials in comma-separated URLs. A user without a password is a token."""
    for url in urls.split(",") if urls.startswith(("nats", "tls", "ws")) else [urls]:
        parts = urlsplit(url)
        credential = parts.password or parts.username or ""
        hide_value(credential)
        hide_value(unquote(credential))
    return urls


_PRINTABLE = must_match(r"[^\x00-\x1f\x7f]+", "without line breaks and other control characters")

Secret = Annotated[str, Field(min_length=1), AfterValidator(_hide), _PRINTABLE]
"""A required value that is hidden in everything the process writes."""

SecretList = Annotated[
    list[Secret],
    NoDecode,
    BeforeValidator(lambda value: [k.strip() for k in value.split(",") if k.strip()]),
    Field(min_length=1),
]
"""Secrets, comma-separated: the first one signs, all are accepted (for rotation)."""

_Url = Annotated[str, Field(min_length=1), _PRINTABLE]

MongoUri = Annotated[
    _Url,
    must_match(_MONGO_URI, "mongodb://host:port/database or mongodb+srv://host/database"),
    AfterValidator(_hide_credentials),
]
NatsUrl = Annotated[
    _Url,
    must_match(rf"{_NATS_SERVER}(?:,{_NATS_SERVER})*", "nats://host:port"),
    AfterValidator(_hide_credentials),
]
RedisUrl = Annotated[
    _Url, must_match(_REDIS_URL, "redis://host:port/number"), AfterValidator(_hide_credentials)
]


class Settings(BaseSettings):
    """The settings of every service. The environment variables are the field names in upper case."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_ignore_empty=True,
        str_strip_whitespace=True,  # a secret that was read from a file may end in a line break
        hide_input_in_errors=True,
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return []  # a value may be a secret

    host: str = "0.0.0.0"
    port: int = 3000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: LogFormat = "json"


class MongoSettings(Settings):
    """For services with a database."""

    mongo_uri: MongoUri
    """The path is the name of the database: mongodb://host:27017/orders"""


class NatsSettings(Settings):
    """For services that publish or consume events."""

    nats_url: NatsUrl
    nats_replicas: int = Field(1, ge=1, le=5)
    """Number of NATS servers that store the stream. The same for all services, because each of them applies
    it."""
    nats_max_bytes: int = Field(-1, ge=-1)
    """Maximum size of the stream in bytes on each server, the same for all services; -1: no limit of its
    own."""


class SessionSettings(Settings):
    """For services with signed-in users."""

    jwt_key: SecretList
    cookie_secure: bool = True


def load_settings(kind: type[S], service: str) -> S:
    """Reads the settings. If a variable is missing or invalid, prints its name and exits with status 1."""
    redact_output()
    try:
        return kind()
    except ValidationError as error:
        for e in error.errors(include_input=False):
            name = str(e["loc"][0]).upper()
            what = "is not set" if e["type"] == "missing" else f"is not valid: {e['msg']}"
            print(f"{service} cannot start: the environment variable {name} {what}", file=sys.stderr)
        raise SystemExit(1) from None
