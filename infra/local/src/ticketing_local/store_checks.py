"""Checks that each external store answers in its own protocol, before anything is started."""

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import nats.errors
import redis.asyncio
from nats.aio.client import Client as Nats
from pymongo import AsyncMongoClient
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import InvalidResponse, RedisError

from ticketing_local.errors import StackError
from ticketing_local.plan import without_password
from ticketing_local.settings import Settings

TIMEOUT_SECONDS = 5


_INVALID_URL = (ConfigurationError, httpx.InvalidURL, httpx.UnsupportedProtocol, ValueError, TypeError)
_NO_ANSWER = (PyMongoError, nats.errors.Error, RedisError, httpx.TransportError, OSError)


async def check_named_stores(settings: Settings) -> None:
    """Raises StackError with one sentence for each external store that cannot be used."""
    checks = [
        _check("MONGO_URL", "MongoDB", settings.mongo_url, _check_mongo),
        _check("NATS_URL", "NATS server with JetStream", settings.nats_url, _check_nats),
        _check("REDIS_URL", "Redis", settings.redis_url, _check_redis),
        _check("STRIPE_API_BASE", "Stripe", settings.stripe_api_base, _check_stripe),
    ]
    if problems := [problem for problem in await asyncio.gather(*checks) if problem]:
        raise StackError("\n".join(problems))


async def _check(
    variable: str, kind: str, url: str | None, check: Callable[[str], Awaitable[None]]
) -> str | None:
    if url is None:
        return None
    otherwise = "or unset it and the stack starts a server of its own"
    try:
        shown_url = without_password(url)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await check(url)
    except _INVALID_URL:  # the error's text may contain part of a password
        return f"{variable} is not a valid URL: correct it, {otherwise}."
    except _NO_ANSWER as error:
        reason = f" ({text})" if (text := _describe(error)) else ""
        problem = f"{variable}: no usable {kind} answers at {shown_url}{reason}"
        return f"{problem}. Start it or correct the variable, {otherwise}."
    return None


def _describe(error: Exception) -> str:
    match error:
        case OperationFailure():
            return str(error.details and error.details.get("errmsg"))
        case PyMongoError():  # its text describes the whole topology
            return ""
        case InvalidResponse():  # its text is all that the server sent
            return "the server is not Redis"
    return (str(error).splitlines() or [""])[0].rstrip(".")


async def _check_mongo(url: str) -> None:
    # `directConnection` in the URL decides which server this selects, as it does for the services.
    async with AsyncMongoClient[dict[str, object]](
        url, serverSelectionTimeoutMS=TIMEOUT_SECONDS * 1000
    ) as client:
        await client["orders"].list_collection_names()  # unlike `ping`, it needs the password


async def _check_nats(url: str) -> None:
    async def ignore(error: Exception) -> None:
        """Do not log the error: connect() raises it too."""

    client = Nats()
    await client.connect(url, allow_reconnect=False, error_cb=ignore)
    try:
        await client.jetstream().account_info()
    finally:
        await client.close()


async def _check_redis(url: str) -> None:
    async with redis.asyncio.Redis.from_url(url, retry=Retry(NoBackoff(), 0)) as client:
        await client.ping()


async def _check_stripe(url: str) -> None:
    # HTTPS_PROXY applies to the payments service, too; HTTP_PROXY does not.
    async with httpx.AsyncClient(trust_env=url.startswith("https:")) as client:
        response = await client.get(f"{url.rstrip('/')}/v1/payment_intents")
    # Without a key Stripe refuses the request in JSON.
    if not response.headers.get("Content-Type", "").startswith("application/json"):
        raise ConnectionError("the server is not Stripe")
