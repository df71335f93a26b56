"""Checks, before anything is started, that each store named in the environment speaks its protocol."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import nats.errors
import redis.asyncio
import redis.exceptions
from nats.aio.client import Client as Nats
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, InvalidURI, OperationFailure, PyMongoError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from ticketing_local.errors import StackError
from ticketing_local.settings import Settings
from ticketing_local.stores import without_password

PATIENCE_SECONDS = 5


class _Malformed(Exception):
    """The client library cannot read the address."""


class _NoAnswer(Exception):
    """Nothing at the address speaks the protocol; the message says more, where more is known."""


async def check_named_stores(settings: Settings) -> None:
    """Raises StackError with one sentence for each variable whose store cannot be used."""
    checks = [
        _check("MONGO_URL", "MongoDB", settings.mongo_url, _ask_mongo),
        _check("NATS_URL", "NATS server with JetStream", settings.nats_url, _ask_nats),
        _check("REDIS_URL", "Redis", settings.redis_url, _ask_redis),
        _check("STRIPE_API_BASE", "Stripe", settings.stripe_api_base, _ask_stripe),
    ]
    if mistakes := [mistake for mistake in await asyncio.gather(*checks) if mistake]:
        raise StackError("\n".join(mistakes))


async def _check(
    variable: str, kind: str, url: str | None, ask: Callable[[str], Awaitable[None]]
) -> str | None:
    if url is None:
        return None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await ask(url)
    except _Malformed:  # its text may hold a part of a password
        return (
            f"{variable} is not a valid address: correct it, or unset it to use a server of this stack's own."
        )
    except (_NoAnswer, TimeoutError) as error:
        reason = f" ({error})" if str(error) else ""
        return (
            f"{variable}: no usable {kind} answers at {without_password(url)}{reason}. "
            "Start it or correct the variable, or unset it to use a server of this stack's own."
        )
    return None


async def _ask_mongo(url: str) -> None:
    try:
        # With `directConnection` in the URL or without: the server that it selects is the one that is used.
        async with AsyncMongoClient[dict[str, object]](
            url, serverSelectionTimeoutMS=PATIENCE_SECONDS * 1000
        ) as client:
            await client["orders"].list_collection_names()  # `ping` needs no password
    except OperationFailure as refused:
        raise _NoAnswer(str(refused.details and refused.details.get("errmsg"))) from None
    except (InvalidURI, ConfigurationError, ValueError, TypeError):
        raise _Malformed from None
    except PyMongoError:  # its text describes the whole topology
        raise _NoAnswer from None


async def _ask_nats(url: str) -> None:
    client = Nats()
    try:
        await client.connect(url, allow_reconnect=False, error_cb=_ignore)
        try:
            await client.jetstream().account_info()
        finally:
            await client.close()
    except ValueError:
        raise _Malformed from None
    except (nats.errors.Error, OSError) as error:
        raise _NoAnswer(_first_line(error)) from None


async def _ignore(error: Exception) -> None:
    """`connect` raises the error as well."""


async def _ask_redis(url: str) -> None:
    try:
        client = redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0))
    except ValueError:
        raise _Malformed from None
    try:
        await client.ping()
    except redis.exceptions.InvalidResponse:  # its text is all that the other server said
        raise _NoAnswer("what answers is not Redis") from None
    except (redis.exceptions.RedisError, OSError) as error:
        raise _NoAnswer(_first_line(error)) from None
    finally:
        await client.aclose()


async def _ask_stripe(url: str) -> None:
    """Asks without the key, which Stripe refuses in JSON."""
    try:
        # HTTPS_PROXY is for the payments service, too; HTTP_PROXY is not.
        async with httpx.AsyncClient(trust_env=url.startswith("https:")) as client:
            answer = await client.get(f"{url.rstrip('/')}/v1/payment_intents")
    except (httpx.InvalidURL, httpx.UnsupportedProtocol):
        raise _Malformed from None
    except httpx.TransportError as error:
        raise _NoAnswer(_first_line(error)) from None
    if not answer.headers.get("Content-Type", "").startswith("application/json"):
        raise _NoAnswer("what answers is not Stripe")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0].rstrip(".")
