"""Every route responds with the statuses that the contract lists for it, and its OpenAPI schema agrees."""

import asyncio
import json
import time
from collections import defaultdict
from typing import Any

import httpx
import pytest
import stripe
from api_calls import place_order, wait_for_order_status
from stack_under_test import StackUnderTest

from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="package")

STATUSES = {
    "POST /api/users/signup": {201, 400},
    "POST /api/users/signin": {201, 400, 429},
    "POST /api/users/signout": {200},
    "GET /api/users/currentuser": {200},
    "GET /api/tickets": {200, 400},
    "GET /api/tickets/{ticket_id}": {200, 404},
    "POST /api/tickets": {201, 400, 401},
    "PUT /api/tickets/{ticket_id}": {200, 400, 401, 404},
    "GET /api/tickets/events": {200},
    "POST /api/orders": {201, 400, 401, 404},
    "GET /api/orders": {200, 400, 401},
    "GET /api/orders/sales": {200, 400, 401},
    "GET /api/orders/holds/{ticket_id}": {200, 404},
    "GET /api/orders/{order_id}": {200, 401, 404},
    "DELETE /api/orders/{order_id}": {204, 400, 401, 404},
    "POST /api/orders/{order_id}/refund": {200, 400, 401, 404},
    "GET /api/orders/{order_id}/refund": {200, 401, 404},
    "POST /api/payments": {201, 202, 400, 401, 404},
    "POST /api/payments/webhook": {200, 400},
    "GET /api/payments/config": {200},
}
"""The statuses of each route in the contract, except 403, 405, 408, 413 and 503, which any route may have."""


class Recorder:
    """Sends requests and records the statuses of each route."""

    def __init__(self) -> None:
        self.statuses: dict[str, set[int]] = defaultdict(set)

    async def send(
        self, client: httpx.AsyncClient, route: str, params: dict[str, str] | None = None, **values: Any
    ) -> httpx.Response:
        """`values` are the path parameters of the route and the fields of the body."""
        method, template = route.split()
        body = {name: value for name, value in values.items() if f"{{{name}}}" not in template}
        path = template.format(**values)
        response = await client.request(method, path, json=body or None, params=params)
        self.statuses[route].add(response.status_code)
        return response


async def test_routes_respond_with_the_statuses_of_the_contract(long_window_stack: StackUnderTest):
    recorder = Recorder()
    send = recorder.send
    seller, buyer = await long_window_stack.sign_up(), await long_window_stack.sign_up()
    async with httpx.AsyncClient(base_url=long_window_stack.base_url, timeout=20) as anonymous:
        await _use_accounts(send, anonymous)
        await _list_tickets(send, seller, buyer, anonymous)
        await _place_orders(send, seller, buyer, anonymous)
        await _pay_and_refund(send, seller, buyer, anonymous)
        await _deliver_webhooks(recorder, long_window_stack)
        async with anonymous.stream("GET", "/api/tickets/events") as stream:
            recorder.statuses["GET /api/tickets/events"].add(stream.status_code)
    assert recorder.statuses == STATUSES


async def _use_accounts(send, anonymous: httpx.AsyncClient) -> None:
    account = {"email": f"{new_id()}@example.com", "password": "correct horse"}
    for _ in range(2):  # the second time the email is in use
        await send(anonymous, "POST /api/users/signup", **account)
    await send(anonymous, "POST /api/users/signin", **account)
    await send(anonymous, "GET /api/users/currentuser")
    await send(anonymous, "POST /api/users/signout")
    for _ in range(11):
        await send(anonymous, "POST /api/users/signin", **account | {"password": "wrong horse"})
    anonymous.cookies.clear()


async def _list_tickets(send, seller, buyer, anonymous: httpx.AsyncClient) -> None:
    seat = {"title": "Row 7, seat 3", "price": 19.99}
    await send(seller, "POST /api/tickets", **seat | {"price": -1})
    await send(anonymous, "POST /api/tickets", **seat)
    ticket = (await send(seller, "POST /api/tickets", **seat)).json()["id"]
    for client in (seller, buyer, anonymous):
        await send(client, "PUT /api/tickets/{ticket_id}", ticket_id=ticket, **seat)
    await send(seller, "PUT /api/tickets/{ticket_id}", ticket_id=ticket, title="", price=1)
    await send(seller, "PUT /api/tickets/{ticket_id}", ticket_id="unknown", **seat)
    for ticket_id in (ticket, "unknown"):
        await send(anonymous, "GET /api/tickets/{ticket_id}", ticket_id=ticket_id)
    for cursor in ({}, {"cursor": "invalid"}):
        await send(anonymous, "GET /api/tickets", params=cursor)


async def _place_orders(send, seller, buyer, anonymous: httpx.AsyncClient) -> None:
    ticket = (await send(seller, "POST /api/tickets", title="Opera", price=5)).json()["id"]
    order = (await place_order(buyer, ticket))["id"]
    for client, ticket_id in ((seller, ticket), (anonymous, ticket), (buyer, "unknown")):
        await send(client, "POST /api/orders", ticketId=ticket_id)
    for ticket_id in (ticket, "unknown"):
        await send(anonymous, "GET /api/orders/holds/{ticket_id}", ticket_id=ticket_id)
    for route in ("GET /api/orders", "GET /api/orders/sales"):
        for client in (buyer, anonymous):
            await send(client, route)
        await send(buyer, route, params={"cursor": "invalid"})
    for route in ("GET /api/orders/{order_id}", "DELETE /api/orders/{order_id}"):
        for client, order_id in ((seller, order), (anonymous, order), (buyer, "unknown"), (buyer, order)):
            await send(client, route, order_id=order_id)
    await send(seller, "POST /api/orders/{order_id}/refund", order_id=order)  # cancelled by the last DELETE
    other = (await send(seller, "POST /api/tickets", title="Ballet", price=5)).json()["id"]
    await place_order(buyer, other)
    response = await send(buyer, "POST /api/orders", ticketId=ticket)
    assert response.status_code == 201, response.text


async def _pay_and_refund(send, seller, buyer, anonymous: httpx.AsyncClient) -> None:
    orders = [order["id"] for order in (await send(buyer, "GET /api/orders")).json()["orders"]]
    cancelled, first, second = orders
    pay = "POST /api/payments"
    await send(buyer, pay, orderId=cancelled, token="tok_visa")
    for client, order_id in ((anonymous, first), (seller, first), (buyer, "unknown"), (buyer, first)):
        await send(client, pay, orderId=order_id, token="tok_visa")
    await send(buyer, pay, orderId=second, token="tok_threeDSecureRequired")
    await wait_for_order_status(buyer, first, "complete")
    await send(buyer, "DELETE /api/orders/{order_id}", order_id=first)
    refund = "POST /api/orders/{order_id}/refund"
    for client, order_id in ((buyer, first), (anonymous, first), (seller, "unknown"), (seller, first)):
        await send(client, refund, order_id=order_id)
    # The second order is not refunded.
    for client, order_id in ((buyer, first), (anonymous, first), (buyer, second)):
        await send(client, "GET /api/orders/{order_id}/refund", order_id=order_id)
    await send(buyer, "DELETE /api/orders/{order_id}", order_id=second)
    await send(anonymous, "GET /api/payments/config")


async def _deliver_webhooks(recorder: Recorder, stack: StackUnderTest) -> None:
    body = json.dumps({"id": f"evt_{new_id()}", "object": "event", "type": "unknown", "data": {"object": {}}})
    secret = stack.env["STRIPE_WEBHOOK_SECRET"]
    signed = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()))
    async with httpx.AsyncClient(base_url=stack.base_url) as client:
        for signature in (signed, "t=1,v1=0"):
            headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
            response = await client.post("/api/payments/webhook", content=body, headers=headers)
            recorder.statuses["POST /api/payments/webhook"].add(response.status_code)


async def test_openapi_describes_the_successes_and_the_errors_of_every_route(
    long_window_stack: StackUnderTest,
):
    successes = {}
    async with httpx.AsyncClient(base_url=long_window_stack.base_url) as client:
        schemas = await asyncio.gather(
            *(client.get(f"/api/{name}/openapi.json") for name in ("users", "tickets", "orders", "payments"))
        )
    for schema in schemas:
        for path, operations in schema.json()["paths"].items():
            for method, operation in operations.items():
                route = f"{method.upper()} {path}"
                responses = operation["responses"]
                successes[route] = {int(status) for status in responses if status.startswith("2")}
                for status in responses.keys() - {str(code) for code in successes[route]}:
                    assert list(responses[status]["content"]) == ["application/json"], (route, status)
    assert successes == {
        route: {status for status in statuses if status < 300} for route, statuses in STATUSES.items()
    }
