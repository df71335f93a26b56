"""Calls the services over HTTP on behalf of one visitor.

A response that is not 2xx becomes an exception:

400, 403, 413, 429       RequestRejected: the visitor can correct the request, or repeat it later
401                      NotSignedIn; NotYours if the visitor is signed in
404                      NotFound
another, or no response  Unavailable
"""

import contextlib
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

import httpx
import structlog
from pydantic import ConfigDict, SecretStr, TypeAdapter

from client.config import Settings
from client.schemas import Hold, Order, Refund, ResultPage, Sales, StripeConfig, Ticket
from ticketing_common.http.idempotency import HEADER as IDEMPOTENCY_KEY
from ticketing_common.http.sessions import COOKIE, User
from ticketing_common.observability.logs import get_logger
from ticketing_common.observability.tracing import traceparent
from ticketing_common.values.errors import (
    ErrorBody,
    ErrorDetail,
    NotFound,
    NotSignedIn,
    NotYours,
    Unavailable,
)

Service = Literal["auth", "tickets", "orders", "payments"]

TICKETS_PER_PAGE = 48
"""A multiple of two, three and four: the rows of the grid are full."""
_TIMEOUT = httpx.Timeout(12, connect=2)
"""Seconds. Longer than the time-outs inside any service."""

_TICKETS = TypeAdapter(list[Ticket], config=ConfigDict(hide_input_in_errors=True))

log = get_logger(__name__)


class RequestRejected(Exception):
    """A service rejected the request. `details` say why, for the visitor."""

    def __init__(self, status: int, details: list[ErrorDetail], retry_after: int | None) -> None:
        super().__init__(details[0].message)
        self.status = status
        self.details = details
        self.retry_after = retry_after
        """Seconds."""


class ServiceConnections:
    """One HTTP client for each service, shared by all visitors."""

    def __init__(self, settings: Settings) -> None:
        urls: dict[Service, str] = {
            "auth": settings.auth_url,
            "tickets": settings.tickets_url,
            "orders": settings.orders_url,
            "payments": settings.payments_url,
        }
        # trust_env=False: a proxy named in the environment must not receive internal requests.
        self._clients = {
            name: httpx.AsyncClient(base_url=url, timeout=_TIMEOUT, trust_env=False)
            for name, url in urls.items()
        }

    async def send(self, service: Service, method: str, path: str, **options: Any) -> httpx.Response:
        return await self._clients[service].request(method, path, **options)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()


@dataclass(frozen=True)
class Gateway:
    """The services' API for one visitor. Every method raises the exceptions listed at the top."""

    connections: ServiceConnections
    user: User | None
    session_token: str | None = field(repr=False)
    """Forwarded to the services; each verifies it."""

    async def sign_up(self, email: str, password: SecretStr, key: str) -> str:
        """Returns the Set-Cookie header of the new session. `key` is the form's Idempotency-Key."""
        body = {"email": email, "password": password.get_secret_value()}
        response = await self._call("auth", "POST", "/api/users/signup", json=body, key=key)
        return response.headers["set-cookie"]

    async def sign_in(self, email: str, password: SecretStr) -> str:
        """Returns the Set-Cookie header of the new session."""
        body = {"email": email, "password": password.get_secret_value()}
        response = await self._call("auth", "POST", "/api/users/signin", json=body)
        return response.headers["set-cookie"]

    async def search_tickets(self, query: str, cursor: str | None) -> ResultPage[Ticket]:
        """Tickets for sale, newest first."""
        params = {"q": query, "limit": str(TICKETS_PER_PAGE), **_cursor_param(cursor)}
        return _ticket_page(await self._call("tickets", "GET", "/api/tickets", params=params))

    async def find_own_tickets_for_sale(self, cursor: str | None) -> ResultPage[Ticket]:
        """The visitor's unreserved tickets.

        The request is anonymous: to a seller, the tickets service also lists reserved and sold tickets.
        """
        assert self.user
        params = {"sellerId": self.user.id, **_cursor_param(cursor)}
        return _ticket_page(await self._call("tickets", "GET", "/api/tickets", params=params, anonymous=True))

    async def get_ticket(self, ticket_id: str) -> tuple[Ticket, str | None]:
        """The ticket, and the position of the event stream at that moment."""
        response = await self._call("tickets", "GET", f"/api/tickets/{_path_segment(ticket_id)}")
        return Ticket.model_validate_json(response.content), _stream_position(response)

    async def list_ticket(self, title: str, price: float, key: str) -> Ticket:
        body = {"title": title, "price": price}
        response = await self._call("tickets", "POST", "/api/tickets", json=body, key=key)
        return Ticket.model_validate_json(response.content)

    async def edit_ticket(self, ticket_id: str, title: str, price: float) -> None:
        body = {"title": title, "price": price}
        await self._call("tickets", "PUT", f"/api/tickets/{_path_segment(ticket_id)}", json=body)

    async def get_hold(self, ticket_id: str) -> Hold:
        response = await self._call("orders", "GET", f"/api/orders/holds/{_path_segment(ticket_id)}")
        return Hold.model_validate_json(response.content)

    async def place_order(self, ticket_id: str, key: str) -> Order:
        body = {"ticketId": ticket_id}
        response = await self._call("orders", "POST", "/api/orders", json=body, key=key)
        return Order.model_validate_json(response.content)

    async def get_order(self, order_id: str) -> Order:
        response = await self._call("orders", "GET", f"/api/orders/{_path_segment(order_id)}")
        return Order.model_validate_json(response.content)

    async def find_orders(self, cursor: str | None) -> ResultPage[Order]:
        """The visitor's orders, newest first."""
        params = {"newestFirst": "true", "limit": "50", **_cursor_param(cursor)}
        response = await self._call("orders", "GET", "/api/orders", params=params)
        orders = [Order.model_validate(order) for order in response.json()["orders"]]
        return ResultPage(items=orders, next_cursor=_next_cursor(response))

    async def cancel_order(self, order_id: str) -> None:
        await self._call("orders", "DELETE", f"/api/orders/{_path_segment(order_id)}")

    async def get_refund(self, order_id: str) -> Refund:
        response = await self._call("orders", "GET", f"/api/orders/{_path_segment(order_id)}/refund")
        return Refund.model_validate_json(response.content)

    async def find_sales(self, status: str, cursor: str | None) -> tuple[Sales, str | None]:
        """The visitor's sales with this order status, and the cursor of the next page."""
        params = {"status": status, **_cursor_param(cursor)}
        response = await self._call("orders", "GET", "/api/orders/sales", params=params)
        return Sales.model_validate_json(response.content), _next_cursor(response)

    async def refund_order(self, order_id: str) -> None:
        """Refunds an order of one of the visitor's tickets."""
        await self._call("orders", "POST", f"/api/orders/{_path_segment(order_id)}/refund")

    async def get_stripe_config(self) -> StripeConfig:
        response = await self._call("payments", "GET", "/api/payments/config")
        return StripeConfig.model_validate_json(response.content)

    async def _call(
        self,
        service: Service,
        method: str,
        path: str,
        *,
        anonymous: bool = False,
        key: str | None = None,
        **options: Any,
    ) -> httpx.Response:
        headers = {"traceparent": traceparent()}
        if key:
            headers[IDEMPOTENCY_KEY] = key
        if request_id := structlog.contextvars.get_contextvars().get("request_id"):
            headers["X-Request-ID"] = request_id
        if self.session_token and not anonymous:
            headers["Cookie"] = f"{COOKIE}={self.session_token}"
        try:
            response = await self.connections.send(service, method, path, headers=headers, **options)
        except httpx.TransportError as error:
            log.warning("no response from a service", called=service, reason=repr(error))
            raise Unavailable from None
        if response.is_success:
            return response
        raise _error_for(response, service, signed_in=self.user is not None)


def _error_for(response: httpx.Response, service: Service, *, signed_in: bool) -> Exception:
    if response.status_code == 401:
        return NotYours() if signed_in else NotSignedIn()
    if response.status_code == 404:
        return NotFound()
    if response.status_code in (400, 403, 413, 429):
        with contextlib.suppress(ValueError):
            retry_after = response.headers.get("retry-after")
            body = ErrorBody.model_validate_json(response.content)
            return RequestRejected(
                response.status_code, body.errors, int(retry_after) if retry_after else None
            )
    log.warning("error response from a service", called=service, status=response.status_code)
    return Unavailable()


def _ticket_page(response: httpx.Response) -> ResultPage[Ticket]:
    return ResultPage(
        items=_TICKETS.validate_json(response.content),
        next_cursor=_next_cursor(response),
        stream_position=_stream_position(response),
    )


def _stream_position(response: httpx.Response) -> str | None:
    position: str | None = response.headers.get("last-event-id")
    return position


def _cursor_param(cursor: str | None) -> dict[str, str]:
    return {"cursor": cursor} if cursor else {}


def _next_cursor(response: httpx.Response) -> str | None:
    link = response.links.get("next")
    return parse_qs(urlsplit(link["url"]).query)["cursor"][0] if link else None


def _path_segment(text: str) -> str:
    """An id for use in a path. Other text becomes "-": a dot or a slash would reach another route."""
    return text if text.isascii() and text.isalnum() else "-"
