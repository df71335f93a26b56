"""A client of the market's HTTP API, for the demo, the demo data and the screenshots."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx

T = TypeVar("T")
Json = dict[str, Any]


class Refused(Exception):
    """The API answered with an error."""

    def __init__(self, response: httpx.Response) -> None:
        self.status = response.status_code
        self.message = _error_message(response)
        request = response.request
        super().__init__(f"{request.method} {request.url.path}: {self.status}, {self.message}")


def new_client(base_url: str) -> httpx.AsyncClient:
    """A client without a session; after `sign_up` or sign-in it keeps the session's cookie."""
    # trust_env: a proxy from the environment cannot reach localhost.
    return httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False)


async def call(client: httpx.AsyncClient, method: str, path: str, body: Json | None = None) -> Json:
    """Return the JSON of the answer. Raises Refused, httpx.HTTPError."""
    response = await client.request(method, path, json=body)
    if not response.is_success:
        raise Refused(response)
    data: Json = response.json()
    return data


async def get(client: httpx.AsyncClient, path: str) -> Json:
    return await call(client, "GET", path)


async def sign_up(client: httpx.AsyncClient, email: str, password: str) -> Json:
    return await call(client, "POST", "/api/users/signup", {"email": email, "password": password})


async def list_ticket(client: httpx.AsyncClient, title: str, price: float) -> Json:
    return await call(client, "POST", "/api/tickets", {"title": title, "price": price})


async def order(client: httpx.AsyncClient, ticket_id: str) -> Json:
    return await call(client, "POST", "/api/orders", {"ticketId": ticket_id})


async def pay(client: httpx.AsyncClient, order_id: str, token: str) -> Json:
    return await call(client, "POST", "/api/payments", {"orderId": order_id, "token": token})


async def refund(client: httpx.AsyncClient, order_id: str) -> Json:
    return await call(client, "POST", f"/api/orders/{order_id}/refund")


async def eventually(
    read: Callable[[], Awaitable[T]], condition: Callable[[T], bool], what: str, timeout: float = 10.0
) -> T:
    """Read until the condition holds: services learn of changes by events. Raises TimeoutError."""
    deadline = time.monotonic() + timeout
    while not condition(value := await read()):
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"after {timeout:g} s it is still not so that {what}. The last answer: {value}"
            )
        await asyncio.sleep(0.05)
    return value


def _error_message(response: httpx.Response) -> str:
    try:
        return str(response.json()["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return response.text[:200] or response.reason_phrase
