"""Each route answers with the statuses that the contract names for it, and its OpenAPI says the same."""

import asyncio
import json
import time
from collections import defaultdict

import httpx
import pytest
import stripe
from market import Market, ordered, until_status

from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

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
"""What the contract names for each route, besides 403, 405, 408, 413 and 503, which any route may answer."""


class Seen:
    """Sends requests, and records what each route answered."""

    def __init__(self) -> None:
        self.statuses: dict[str, set[int]] = defaultdict(set)

    async def ask(self, who: httpx.AsyncClient, route: str, **more: object) -> httpx.Response:
        """`more` fills the path's parameters; what else it holds is the body, and `params` the query."""
        method, template = route.split()
        path = template.format(**{name: str(value) for name, value in more.items()})
        ids = {name for name in more if f"{{{name}}}" in template}
        params = more.get("params")
        body = {name: value for name, value in more.items() if name not in ids | {"params"}}
        answer = await who.request(method, path, json=body or None, params=params)  # type: ignore[arg-type]
        self.statuses[route].add(answer.status_code)
        return answer


async def test_routes_answer_with_the_statuses_of_the_contract(patient_market: Market):
    seen = Seen()
    ask = seen.ask
    seller, buyer = await patient_market.person(), await patient_market.person()
    async with httpx.AsyncClient(base_url=patient_market.stack.base_url, timeout=20) as nobody:
        await _use_accounts(ask, nobody)
        await _list_tickets(ask, seller, buyer, nobody)
        await _buy(ask, seller, buyer, nobody)
        await _pay(ask, seller, buyer, nobody)
        await _deliver_webhooks(seen, patient_market)
        async with nobody.stream("GET", "/api/tickets/events") as stream:
            seen.statuses["GET /api/tickets/events"].add(stream.status_code)
    assert seen.statuses == STATUSES


async def _use_accounts(ask, nobody: httpx.AsyncClient) -> None:
    ann = {"email": f"{new_id()}@example.com", "password": "correct horse"}
    for _ in range(2):  # the second time the address is taken
        await ask(nobody, "POST /api/users/signup", **ann)
    await ask(nobody, "POST /api/users/signin", **ann)
    await ask(nobody, "GET /api/users/currentuser")
    await ask(nobody, "POST /api/users/signout")
    for _ in range(11):
        await ask(nobody, "POST /api/users/signin", **ann | {"password": "wrong horse"})
    nobody.cookies.clear()


async def _list_tickets(ask, seller, buyer, nobody: httpx.AsyncClient) -> None:
    seat = {"title": "Row 7, seat 3", "price": 19.99}
    await ask(seller, "POST /api/tickets", **seat | {"price": -1})
    await ask(nobody, "POST /api/tickets", **seat)
    ticket = (await ask(seller, "POST /api/tickets", **seat)).json()["id"]
    for who in (seller, buyer, nobody):
        await ask(who, "PUT /api/tickets/{ticket_id}", ticket_id=ticket, **seat)
    await ask(seller, "PUT /api/tickets/{ticket_id}", ticket_id=ticket, title="", price=1)
    await ask(seller, "PUT /api/tickets/{ticket_id}", ticket_id="nothing", **seat)
    for ticket_id in (ticket, "nothing"):
        await ask(nobody, "GET /api/tickets/{ticket_id}", ticket_id=ticket_id)
    for cursor in ({}, {"cursor": "nonsense"}):
        await ask(nobody, "GET /api/tickets", params=cursor)


async def _buy(ask, seller, buyer, nobody: httpx.AsyncClient) -> None:
    ticket = (await ask(seller, "POST /api/tickets", title="Opera", price=5)).json()["id"]
    order = (await ordered(buyer, ticket))["id"]
    for who, wanted in ((seller, ticket), (nobody, ticket), (buyer, "nothing")):
        await ask(who, "POST /api/orders", ticketId=wanted)
    for wanted in (ticket, "nothing"):
        await ask(nobody, "GET /api/orders/holds/{ticket_id}", ticket_id=wanted)
    for route in ("GET /api/orders", "GET /api/orders/sales"):
        for who in (buyer, nobody):
            await ask(who, route)
        await ask(buyer, route, params={"cursor": "nonsense"})
    for route in ("GET /api/orders/{order_id}", "DELETE /api/orders/{order_id}"):
        for who, wanted in ((seller, order), (nobody, order), (buyer, "nothing"), (buyer, order)):
            await ask(who, route, order_id=wanted)
    await ask(seller, "POST /api/orders/{order_id}/refund", order_id=order)  # it is cancelled
    other = (await ask(seller, "POST /api/tickets", title="Ballet", price=5)).json()["id"]
    await ordered(buyer, other)
    seen = await ask(buyer, "POST /api/orders", ticketId=ticket)
    assert seen.status_code == 201, seen.text


async def _pay(ask, seller, buyer, nobody: httpx.AsyncClient) -> None:
    orders = [order["id"] for order in (await ask(buyer, "GET /api/orders")).json()["orders"]]
    cancelled, first, second = orders
    pay = "POST /api/payments"
    await ask(buyer, pay, orderId=cancelled, token="tok_visa")
    for who, wanted in ((nobody, first), (seller, first), (buyer, "nothing"), (buyer, first)):
        await ask(who, pay, orderId=wanted, token="tok_visa")
    await ask(buyer, pay, orderId=second, token="tok_threeDSecureRequired")
    await until_status(buyer, first, "complete")
    await ask(buyer, "DELETE /api/orders/{order_id}", order_id=first)
    refund = "POST /api/orders/{order_id}/refund"
    for who, wanted in ((buyer, first), (nobody, first), (seller, "nothing"), (seller, first)):
        await ask(who, refund, order_id=wanted)
    stranger = httpx.AsyncClient(base_url=buyer.base_url)
    for who, wanted in ((buyer, first), (stranger, first), (buyer, second)):  # the second is not refunded
        await ask(who, "GET /api/orders/{order_id}/refund", order_id=wanted)
    await stranger.aclose()
    await ask(buyer, "DELETE /api/orders/{order_id}", order_id=second)
    await ask(nobody, "GET /api/payments/config")


async def _deliver_webhooks(seen: Seen, market: Market) -> None:
    body = json.dumps({"id": f"evt_{new_id()}", "object": "event", "type": "unknown", "data": {"object": {}}})
    secret = market.stack.env["STRIPE_WEBHOOK_SECRET"]
    signed = stripe.WebhookSignature.generate_signature_header(body, secret, int(time.time()))
    async with httpx.AsyncClient(base_url=market.stack.base_url) as client:
        for signature in (signed, "t=1,v1=0"):
            headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
            answer = await client.post("/api/payments/webhook", content=body, headers=headers)
            seen.statuses["POST /api/payments/webhook"].add(answer.status_code)


async def test_openapi_names_each_route_of_the_contract_with_its_successes_and_the_shape_of_its_errors(
    patient_market: Market,
):
    successes = {}
    async with httpx.AsyncClient(base_url=patient_market.stack.base_url) as client:
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
