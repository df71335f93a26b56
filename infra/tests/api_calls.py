"""What users do through the API, and waits for its effects."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from ticketing_common.testing import wait_until


async def list_ticket(seller: httpx.AsyncClient, title: str = "Opera", price: float = 19.99) -> str:
    """Returns the ticket's id."""
    response = await seller.post("/api/tickets", json={"title": title, "price": price})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


async def post_order(buyer: httpx.AsyncClient, ticket_id: str) -> httpx.Response:
    return await buyer.post("/api/orders", json={"ticketId": ticket_id})


async def place_order(buyer: httpx.AsyncClient, ticket_id: str) -> dict[str, Any]:
    """Returns the order."""
    response = await post_order(buyer, ticket_id)
    assert response.status_code == 201, response.text
    return dict(response.json())


async def post_payment(buyer: httpx.AsyncClient, order_id: str, token: str = "tok_visa") -> httpx.Response:
    return await buyer.post("/api/payments", json={"orderId": order_id, "token": token})


async def post_refund(seller: httpx.AsyncClient, order_id: str) -> httpx.Response:
    return await seller.post(f"/api/orders/{order_id}/refund")


async def buy_ticket(buyer: httpx.AsyncClient, ticket_id: str) -> str:
    """Orders and pays. Returns the id of the complete order."""
    order_id = str((await place_order(buyer, ticket_id))["id"])
    response = await post_payment(buyer, order_id)
    assert response.status_code == 201, response.text
    await wait_for_order_status(buyer, order_id, "complete")
    return order_id


async def wait_for_order_status(
    buyer: httpx.AsyncClient, order_id: str, *statuses: str, seconds: float = 15
) -> dict[str, Any]:
    """Returns the order once it has one of the statuses."""

    async def find_order() -> dict[str, Any] | None:
        response = await buyer.get(f"/api/orders/{order_id}")
        return response.json() if response.is_success and response.json()["status"] in statuses else None

    order = await wait_until(find_order, seconds)
    assert order is not None
    return order


async def wait_for_reservation(
    client: httpx.AsyncClient, ticket_id: str, order_id: str | None, seconds: float = 15
) -> None:
    """Waits until tickets shows the ticket as reserved by this order, or as for sale if there is none."""

    async def is_shown() -> bool:
        response = await client.get(f"/api/tickets/{ticket_id}")
        return response.is_success and response.json()["orderId"] == order_id

    await wait_until(is_shown, seconds)


async def retry_while_unavailable(
    send: Callable[[], Awaitable[httpx.Response]], seconds: float = 20
) -> httpx.Response:
    """Repeats the request until the response is not 503. Returns that response."""

    async def send_once() -> httpx.Response | None:
        try:
            response = await send()
        except httpx.TransportError:
            return None
        return None if response.status_code == 503 else response

    response = await wait_until(send_once, seconds)
    assert response is not None
    return response
