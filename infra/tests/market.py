"""People who use the market over HTTP, and a look at its money."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import stripe

from ticketing_common.storage.mongo import connect
from ticketing_common.testing import wait_until
from ticketing_common.values.ids import new_id
from ticketing_local.stack import Stack


class Market:
    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._people: list[httpx.AsyncClient] = []
        self._databases: dict[str, Any] = {}
        self.refused_refunds: set[str] = set()
        """The orders whose money Stripe will not give back: the only disagreement there may be."""
        self.stripe = stripe.StripeClient(
            stack.env["STRIPE_KEY"],
            base_addresses={"api": stack.env["STRIPE_API_BASE"]},
            http_client=stripe.HTTPXClient(),
        ).v1.payment_intents

    async def person(self) -> httpx.AsyncClient:
        """Somebody who has just signed up."""
        client = httpx.AsyncClient(base_url=self.stack.base_url, timeout=20)
        self._people.append(client)
        answer = await client.post(
            "/api/users/signup", json={"email": f"{new_id()}@example.com", "password": "correct horse"}
        )
        assert answer.status_code == 201, answer.text
        return client

    def database(self, service: str) -> Any:
        if service not in self._databases:
            self._databases[service] = connect(self.stack.env[f"MONGO_URI_{service.upper()}"])
        return self._databases[service]

    async def intents(self) -> list[stripe.PaymentIntent]:
        page = await self.stripe.list_async({"limit": 100, "expand": ["data.latest_charge"]})
        return [intent async for intent in page.auto_paging_iter()]

    async def intent_of(self, order_id: str) -> stripe.PaymentIntent | None:
        found = [i for i in await self.intents() if i.metadata["orderId"] == order_id]
        assert len(found) <= 1, "an order has two PaymentIntents"
        return found[0] if found else None

    async def check_money(self) -> None:
        """When it is quiet: what Stripe keeps is what complete orders cost, order by order, each once.

        And nothing is held for anybody.
        """

        async def agree() -> bool:
            orders = self.database("orders")["orders"]
            owed = [
                (o["_id"], o["ticket"]["price_cents"])
                for o in await orders.find({"status": "complete"}).to_list(10_000)
            ]
            intents = await self.intents()
            kept = [(i.metadata["orderId"], money) for i in intents if (money := kept_of(i))]
            held = [i.id for i in intents if i.status == "requires_capture"]
            kept = [each for each in kept if each[0] not in self.refused_refunds]
            return sorted(kept) == sorted(owed) and not held

        await wait_until(agree, 30)

    async def check_books(self) -> None:
        """The market's own reconciliation finds nothing."""
        status, said = await self.reconcile()
        *disagreements, _summary = said.splitlines()
        assert {line.split()[1] for line in disagreements} == self.refused_refunds, said
        assert status == (1 if disagreements else 0), said

    async def reconcile(self) -> tuple[int, str]:
        """The exit status of `python -m payments.reconciliation`, and what it said."""
        env = self.stack.env
        told = {"MONGO_URI": env["MONGO_URI_PAYMENTS"], "LOG_LEVEL": "error"}
        command = [sys.executable, "-P", "-m", "payments.reconciliation"]
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, **env, **told}, stdout=-1, stderr=-2
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    async def control(self, method: str, path: str, rule: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask the stand-in for Stripe to misbehave (`/_faults`, `/_webhooks`), or to stop (DELETE)."""
        async with httpx.AsyncClient(base_url=self.stack.env["STRIPE_API_BASE"]) as client:
            headers = {"Authorization": f"Bearer {self.stack.env['STRIPE_KEY']}"}
            answer = await client.request(method, path, json=rule, headers=headers)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def authenticate(self, client_secret: str, *, success: bool = True) -> httpx.Response:
        """What the buyer does at the bank."""
        intent_id = client_secret.partition("_secret_")[0]
        async with httpx.AsyncClient(base_url=self.stack.env["STRIPE_API_BASE"]) as client:
            return await client.post(
                f"/v1/payment_intents/{intent_id}/_authenticate",
                data={"client_secret": client_secret, "success": str(success).lower()},
            )

    async def close(self) -> None:
        for client in self._people:
            await client.aclose()


def kept_of(intent: stripe.PaymentIntent) -> int:
    """The cents that were taken and not given back."""
    charge = intent.latest_charge
    assert charge is None or isinstance(charge, stripe.Charge)
    return intent.amount_received - charge.amount_refunded if charge and intent.amount_received else 0


async def listed(seller: httpx.AsyncClient, price: float = 19.99) -> str:
    answer = await seller.post("/api/tickets", json={"title": "Opera", "price": price})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def order(buyer: httpx.AsyncClient, ticket_id: str) -> httpx.Response:
    return await buyer.post("/api/orders", json={"ticketId": ticket_id})


async def ordered(buyer: httpx.AsyncClient, ticket_id: str) -> dict[str, Any]:
    answer = await order(buyer, ticket_id)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def pay(buyer: httpx.AsyncClient, order_id: str, token: str = "tok_visa") -> httpx.Response:
    return await buyer.post("/api/payments", json={"orderId": order_id, "token": token})


async def refund(seller: httpx.AsyncClient, order_id: str) -> httpx.Response:
    return await seller.post(f"/api/orders/{order_id}/refund")


async def until_status(
    buyer: httpx.AsyncClient, order_id: str, *statuses: str, seconds: float = 15
) -> dict[str, Any]:
    async def reached() -> dict[str, Any] | None:
        answer = await buyer.get(f"/api/orders/{order_id}")
        return answer.json() if answer.is_success and answer.json()["status"] in statuses else None

    return await wait_until(reached, seconds)  # type: ignore[return-value]


async def until_held(
    client: httpx.AsyncClient, ticket_id: str, order_id: str | None, seconds: float = 15
) -> None:
    """Until the tickets service shows the ticket as this order's; None: for sale."""

    async def reached() -> bool:
        answer = await client.get(f"/api/tickets/{ticket_id}")
        return answer.is_success and answer.json()["orderId"] == order_id

    await wait_until(reached, seconds)


async def until_accepted(
    call: Callable[[], Awaitable[httpx.Response]], seconds: float = 20
) -> httpx.Response:
    """Repeat a call, as its 503 invites to, until the market is back."""

    async def accepted() -> httpx.Response | None:
        try:
            answer = await call()
        except httpx.TransportError:
            return None
        return None if answer.status_code == 503 else answer

    answer = await wait_until(accepted, seconds)
    assert answer is not None
    return answer


async def together(*calls: Awaitable[httpx.Response]) -> list[httpx.Response]:
    return list(await asyncio.gather(*calls))
