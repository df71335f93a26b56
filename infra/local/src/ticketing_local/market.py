"""A client of the market, as the demo and the demo data use it: what a person can do, one function each."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx

T = TypeVar("T")
Json = dict[str, Any]


class Refused(Exception):
    """The market said no, in its own words."""

    def __init__(self, answer: httpx.Response) -> None:
        self.status = answer.status_code
        self.message = _message(answer)
        super().__init__(f"{answer.request.method} {answer.request.url.path}: {self.status}, {self.message}")


def visitor(base_url: str) -> httpx.AsyncClient:
    """Somebody at the door; their session, once they have one, stays with the client."""
    # Nothing of the environment: a proxy that is set there knows no localhost.
    return httpx.AsyncClient(base_url=base_url, timeout=30, trust_env=False)


async def sign_up(who: httpx.AsyncClient, email: str, password: str) -> Json:
    return await _ask(who, "POST", "/api/users/signup", {"email": email, "password": password})


async def list_ticket(who: httpx.AsyncClient, title: str, price: float) -> Json:
    return await _ask(who, "POST", "/api/tickets", {"title": title, "price": price})


async def see_ticket(who: httpx.AsyncClient, ticket_id: str) -> Json:
    return await _ask(who, "GET", f"/api/tickets/{ticket_id}")


async def order(who: httpx.AsyncClient, ticket_id: str) -> Json:
    return await _ask(who, "POST", "/api/orders", {"ticketId": ticket_id})


async def see_order(who: httpx.AsyncClient, order_id: str) -> Json:
    return await _ask(who, "GET", f"/api/orders/{order_id}")


async def pay(who: httpx.AsyncClient, order_id: str, token: str) -> Json:
    return await _ask(who, "POST", "/api/payments", {"orderId": order_id, "token": token})


async def refund(who: httpx.AsyncClient, order_id: str) -> Json:
    return await _ask(who, "POST", f"/api/orders/{order_id}/refund")


async def see_refund(who: httpx.AsyncClient, order_id: str) -> Json:
    return await _ask(who, "GET", f"/api/orders/{order_id}/refund")


async def eventually(
    look: Callable[[], Awaitable[T]], is_so: Callable[[T], bool], what: str, within: float = 10.0
) -> T:
    """Look again and again: services tell each other by events, so some things follow a little later."""
    deadline = time.monotonic() + within
    while not is_so(seen := await look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: still not so after {within:g} s. The market shows {seen}")
        await asyncio.sleep(0.05)
    return seen


async def _ask(who: httpx.AsyncClient, method: str, path: str, body: Json | None = None) -> Json:
    answer = await who.request(method, path, json=body)
    if not answer.is_success:
        raise Refused(answer)
    found: Json = answer.json()
    return found


def _message(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["errors"][0]["message"])
    except (ValueError, LookupError, TypeError):
        return answer.text[:200] or answer.reason_phrase
