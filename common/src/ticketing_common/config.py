"""Settings: read once from the environment; what is missing or wrong is named, and the start stops."""

import re
import sys
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import unquote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from ticketing_common.logs import LogFormat, redact_output
from ticketing_common.redaction import hide_value

S = TypeVar("S", bound="Settings")
T = TypeVar("T", str, list[str])

_HOST = r"(?:\[[0-9A-Fa-f:.%]+\]|[^\s/?#@:,\[\]]+)(?::[0-9]{1,5})?"
_USER = r"(?:[^\s/?#@]*@)?"
_MONGO_URI = rf"mongodb(?:\+srv)?://{_USER}{_HOST}(?:,{_HOST})*/[^\s/\\.\"$*<>:|?@%]{{1,63}}(?:\?\S*)?"
_NATS_SERVER = rf"(?:nats|tls|wss?)://{_USER}{_HOST}/?"
_REDIS_URL = rf"rediss?://{_USER}{_HOST}(?:/[0-9]*)?(?:\?\S*)?|unix://\S+"


def matches(pattern: str, form: str) -> AfterValidator:
    """Refuses a value, or a list with one, that has another form. The message does not contain the value."""
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
    """Of one URL or several, comma-separated. A user without a password is a token."""
    for url in urls.split(",") if urls.startswith(("nats", "tls", "ws")) else [urls]:
        parts = urlsplit(url)
        credential = parts.password or parts.username or ""
        hide_value(credential)
        hide_value(unquote(credential))
    return urls


_PRINTABLE = matches(r"[^\x00-\x1f\x7f]+", "without line breaks and other control characters")

Secret = Annotated[str, Field(min_length=1), AfterValidator(_hide), _PRINTABLE]
"""A value that must be there, and is hidden in everything that the process writes."""

Keys = Annotated[
    list[Secret],
    NoDecode,
    BeforeValidator(lambda value: [k.strip() for k in value.split(",") if k.strip()]),
    Field(min_length=1),
]
"""Several secrets, comma-separated: the first is used, all are accepted (rotation)."""

_Url = Annotated[str, Field(min_length=1), _PRINTABLE]

MongoUri = Annotated[
    _Url,
    matches(_MONGO_URI, "mongodb://host:port/database or mongodb+srv://host/database"),
    AfterValidator(_hide_credentials),
]
NatsUrl = Annotated[
    _Url,
    matches(rf"{_NATS_SERVER}(?:,{_NATS_SERVER})*", "nats://host:port"),
    AfterValidator(_hide_credentials),
]
RedisUrl = Annotated[_Url, matches(_REDIS_URL, "redis://host:port/number"), AfterValidator(_hide_credentials)]


class Settings(BaseSettings):
    """What every service is told. Field names in upper case are the environment variables."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_ignore_empty=True,
        str_strip_whitespace=True,  # a secret that was made from a file ends in a line break
        hide_input_in_errors=True,
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return []  # a value may be a secret

    host: str = "0.0.0.0"
    port: int = 3000
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: LogFormat = "json"


class MongoSettings(Settings):
    """For the services that keep something."""

    mongo_uri: MongoUri
    """With the database's name as its path: mongodb://host:27017/orders"""


class NatsSettings(Settings):
    """For the services that publish or follow events."""

    nats_url: NatsUrl
    nats_replicas: int = Field(1, ge=1, le=5)
    """How many servers keep the stream; the same for every service, for each of them makes sure of it."""
    nats_max_bytes: int = Field(-1, ge=-1)
    """Bytes that the stream may take on each server, the same for every service; -1: no limit of its own."""


class SessionSettings(Settings):
    """For the services that know who is asking."""

    jwt_key: Keys
    cookie_secure: bool = True


def load(kind: type[S], service: str) -> S:
    """The settings from the environment; else says what is missing or wrong, and exits with status 1."""
    redact_output()
    try:
        return kind()
    except ValidationError as error:
        for e in error.errors(include_input=False):
            name = str(e["loc"][0]).upper()
            what = "is not set" if e["type"] == "missing" else f"is not valid: {e['msg']}"
            print(f"{service} cannot start: the environment variable {name} {what}", file=sys.stderr)
        raise SystemExit(1) from None
