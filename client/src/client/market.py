"""The services, as the site asks them: over HTTP, on behalf of one visitor, with plain outcomes.

2xx                    what was asked for
400, 403, 413, 429     Refused: the visitor may do it otherwise
401                    NotSignedIn, or NotYours for somebody who is signed in
404                    NotFound
else, or no answer     Unavailable
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
import structlog
from pydantic import ConfigDict, SecretStr, TypeAdapter

from client.config import Settings
from client.schemas import Hold, Order, Page, Refund, Sales, StripeConfig, Ticket
from ticketing_common.auth import COOKIE, User
from ticketing_common.errors import ErrorBody, ErrorDetail, NotFound, NotSignedIn, NotYours, Unavailable
from ticketing_common.idempotency import HEADER as IDEMPOTENCY_KEY
from ticketing_common.logs import get_logger
from ticketing_common.tracing import traceparent

Service = Literal["auth", "tickets", "orders", "payments"]

PAGE = 48
"""Tickets on a page: it fills two, three and four columns."""
_PATIENCE = httpx.Timeout(12, connect=2)
"""Seconds. Longer than any service takes to give up itself."""

_TICKETS = TypeAdapter(list[Ticket], config=ConfigDict(hide_input_in_errors=True))

log = get_logger(__name__)


class Refused(Exception):
    """The market said no, in words for the visitor."""

    def __init__(self, status: int, details: list[ErrorDetail], retry_after: int | None) -> None:
        super().__init__(details[0].message)
        self.status = status
        self.details = details
        self.retry_after = retry_after
        """Seconds."""


class Services:
    """The connections to the services, shared by all visitors."""

    def __init__(self, settings: Settings) -> None:
        urls: dict[Service, str] = {
            "auth": settings.auth_url,
            "tickets": settings.tickets_url,
            "orders": settings.orders_url,
            "payments": settings.payments_url,
        }
        # No proxy of the environment: the services are neighbours.
        self._clients = {
            name: httpx.AsyncClient(base_url=url, timeout=_PATIENCE, trust_env=False)
            for name, url in urls.items()
        }

    async def send(self, service: Service, method: str, path: str, **more: Any) -> httpx.Response:
        return await self._clients[service].request(method, path, **more)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()


@dataclass(frozen=True)
class Market:
    """The market as one visitor may use it. Every method raises what the module's docstring lists."""

    services: Services
    user: User | None
    session: str | None = field(repr=False)
    """The visitor's own cookie: the services judge it themselves."""

    async def sign_up(self, email: str, password: SecretStr, key: str) -> str:
        """The Set-Cookie header of a new session. `key`: of the form, as for all that is made by one."""
        body = {"email": email, "password": password.get_secret_value()}
        answer = await self._ask("auth", "POST", "/api/users/signup", json=body, key=key)
        return answer.headers["set-cookie"]

    async def sign_in(self, email: str, password: SecretStr) -> str:
        """The Set-Cookie header of a new session."""
        body = {"email": email, "password": password.get_secret_value()}
        answer = await self._ask("auth", "POST", "/api/users/signin", json=body)
        return answer.headers["set-cookie"]

    async def for_sale(self, query: str, cursor: str | None) -> Page[Ticket]:
        params = {"q": query, "limit": str(PAGE)} | ({"cursor": cursor} if cursor else {})
        return _tickets(await self._ask("tickets", "GET", "/api/tickets", params=params))

    async def own_for_sale(self, cursor: str | None) -> Page[Ticket]:
        """What the visitor offers and nobody holds. Asked as anybody: sellers see what is held, too."""
        assert self.user
        params = {"sellerId": self.user.id} | ({"cursor": cursor} if cursor else {})
        return _tickets(await self._ask("tickets", "GET", "/api/tickets", params=params, as_anybody=True))

    async def ticket(self, ticket_id: str) -> Page[Ticket]:
        """One ticket, with the stream's position."""
        answer = await self._ask("tickets", "GET", f"/api/tickets/{_segment(ticket_id)}")
        return Page(
            items=[Ticket.model_validate_json(answer.content)],
            next_cursor=None,
            position=answer.headers.get("last-event-id"),
        )

    async def list_ticket(self, title: str, price: float, key: str) -> Ticket:
        body = {"title": title, "price": price}
        answer = await self._ask("tickets", "POST", "/api/tickets", json=body, key=key)
        return Ticket.model_validate_json(answer.content)

    async def edit_ticket(self, ticket_id: str, title: str, price: float) -> Ticket:
        body = {"title": title, "price": price}
        answer = await self._ask("tickets", "PUT", f"/api/tickets/{_segment(ticket_id)}", json=body)
        return Ticket.model_validate_json(answer.content)

    async def hold(self, ticket_id: str) -> Hold:
        answer = await self._ask("orders", "GET", f"/api/orders/holds/{_segment(ticket_id)}")
        return Hold.model_validate_json(answer.content)

    async def buy(self, ticket_id: str, key: str) -> Order:
        """The visitor's order of the ticket: a new one, or the one they have. (Two tabs may send it.)"""
        try:
            answer = await self._ask("orders", "POST", "/api/orders", json={"ticketId": ticket_id}, key=key)
        except Refused as refused:
            for order in (await self.orders(None)).items:
                if order.ticket.id == ticket_id and order.status in ("created", "complete"):
                    return order
            raise refused
        return Order.model_validate_json(answer.content)

    async def order(self, order_id: str) -> Order:
        answer = await self._ask("orders", "GET", f"/api/orders/{_segment(order_id)}")
        return Order.model_validate_json(answer.content)

    async def orders(self, cursor: str | None) -> Page[Order]:
        """The visitor's own, newest first."""
        params = {"newestFirst": "true", "limit": "50"} | ({"cursor": cursor} if cursor else {})
        answer = await self._ask("orders", "GET", "/api/orders", params=params)
        orders = [Order.model_validate(each) for each in answer.json()["orders"]]
        return Page(items=orders, next_cursor=_next_cursor(answer))

    async def cancel(self, order_id: str) -> None:
        await self._ask("orders", "DELETE", f"/api/orders/{_segment(order_id)}")

    async def refund_of(self, order_id: str) -> Refund:
        answer = await self._ask("orders", "GET", f"/api/orders/{_segment(order_id)}/refund")
        return Refund.model_validate_json(answer.content)

    async def sales(self, status: str, cursor: str | None) -> tuple[Sales, str | None]:
        """What the visitor sold, and where the rest of it begins."""
        params = {"status": status} | ({"cursor": cursor} if cursor else {})
        answer = await self._ask("orders", "GET", "/api/orders/sales", params=params)
        return Sales.model_validate_json(answer.content), _next_cursor(answer)

    async def give_back(self, order_id: str) -> None:
        """Refund an order of one's ticket."""
        await self._ask("orders", "POST", f"/api/orders/{_segment(order_id)}/refund")

    async def stripe_config(self) -> StripeConfig:
        answer = await self._ask("payments", "GET", "/api/payments/config")
        return StripeConfig.model_validate_json(answer.content)

    async def _ask(
        self,
        service: Service,
        method: str,
        path: str,
        *,
        as_anybody: bool = False,
        key: str | None = None,
        **more: Any,
    ) -> httpx.Response:
        headers = {"traceparent": traceparent()}
        if key:
            headers[IDEMPOTENCY_KEY] = key
        if request_id := structlog.contextvars.get_contextvars().get("request_id"):
            headers["X-Request-ID"] = request_id
        if self.session and not as_anybody:
            headers["Cookie"] = f"{COOKIE}={self.session}"
        try:
            answer = await self.services.send(service, method, path, headers=headers, **more)
        except httpx.TransportError as error:
            log.warning("no answer from a service", called=service, reason=repr(error))
            raise Unavailable from None
        if answer.is_success:
            return answer
        raise _outcome(answer, service, signed_in=self.user is not None)


def _outcome(answer: httpx.Response, service: Service, *, signed_in: bool) -> Exception:
    if answer.status_code == 401:
        return NotYours() if signed_in else NotSignedIn()
    if answer.status_code == 404:
        return NotFound()
    if answer.status_code in (400, 403, 413, 429):
        with contextlib.suppress(ValueError):
            retry_after = answer.headers.get("retry-after")
            body = ErrorBody.model_validate_json(answer.content)
            return Refused(answer.status_code, body.errors, int(retry_after) if retry_after else None)
    log.warning("a service failed", called=service, status=answer.status_code)
    return Unavailable()


def _tickets(answer: httpx.Response) -> Page[Ticket]:
    return Page(
        items=_TICKETS.validate_json(answer.content),
        next_cursor=_next_cursor(answer),
        position=answer.headers.get("last-event-id"),
    )


def _next_cursor(answer: httpx.Response) -> str | None:
    following = answer.links.get("next")
    return parse_qs(urlsplit(following["url"]).query)["cursor"][0] if following else None


def _segment(text: str) -> str:
    """An id as part of a path; what is no id (a dot, a slash) must not lead to another route."""
    return text if text.isascii() and text.isalnum() else "-"
