"""The load generator: simulated users who list, edit, browse, order, pay, cancel and refund.

Each user has its own random generator. A seed repeats their decisions; the responses depend on timing.
"""

import asyncio
import contextlib
import itertools
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import httpx

from ticketing_chaos.client import RecordingClient
from ticketing_chaos.history import History

_CARDS, _CARD_WEIGHTS = ["tok_visa", "pm_card_threeDSecure2Required", "tok_chargeDeclined"], [70, 15, 15]


@dataclass
class World:
    """What all users share."""

    base_url: str
    stripe_url: str
    history: History
    recent_tickets: list[str] = field(default_factory=list)
    rush: asyncio.Condition = field(default_factory=asyncio.Condition)
    rush_ticket: str | None = None  # the ticket that all users order when `rush` is notified


class User(RecordingClient):
    def __init__(self, name: str, world: World, rng: random.Random) -> None:
        super().__init__(name, world.base_url, world.history, rng)
        self._world, self._rng = world, rng
        self._credentials = {"email": f"{name}@example.com", "password": "correct horse battery"}
        self._seats = itertools.count(1)
        self._listed: list[str] = []
        self._offers: list[str] = []
        self._orders: list[str] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Sign up, then act until `stopping` is set."""
        actions: dict[Callable[[], Awaitable[object]], int] = {
            self._list_ticket: 14,
            self._start_rush: 3,
            self._edit: 12,
            self._order_and_cancel: 6,
            self._browse: 16,
            self._view_ticket: 8,
            self._order: 30,
            self._pay: 26,
            self._cancel: 7,
            self._pay_and_cancel: 7,
            self._refund: 2,
            self._view_orders: 6,
            self._sign_in_again: 1,
            self.submit_again: 4,
            partial(self.send, "GET", "/"): 4,
        }
        try:
            await self.sign_up(stopping)
            while not stopping.is_set():
                await self._rng.choices(list(actions), list(actions.values()))[0]()
                await self._pause_for_rush()
        finally:
            await self.close()

    async def sign_up(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            request = await self.submit("/api/users/signup", self._credentials)
            if request.status == 400:  # an earlier try succeeded
                request = await self.retry("POST", "/api/users/signin", self._credentials)
            if request.succeeded:
                return

    async def try_to_purchase(self) -> bool:
        listed = await self.send("POST", "/api/tickets", {"title": "Canary", "price": 1})
        if not listed.succeeded:
            return False
        ordered = await self.retry("POST", "/api/orders", {"ticketId": listed.response["id"]})
        if not ordered.succeeded:
            return False
        order_id = ordered.response["id"]
        await self.retry("POST", "/api/payments", {"orderId": order_id, "token": "tok_visa"})
        for _ in range(20):
            seen = await self.send("GET", f"/api/orders/{order_id}")
            if seen.succeeded and seen.response["status"] != "created":
                return bool(seen.response["status"] == "complete")
            await asyncio.sleep(0.1)
        return False

    async def list_and_order(self, tickets: list[str]) -> None:
        """List and edit new tickets, and order and cancel these, as fast as possible and until cancelled."""
        while True:
            if listed := await self._list_ticket():
                await self._put(listed, "Edited")
            ordered = await self.send("POST", "/api/orders", {"ticketId": self._rng.choice(tickets)})
            if ordered.succeeded:
                await self.send("DELETE", f"/api/orders/{ordered.response['id']}")

    async def _sign_in_again(self) -> None:
        await self.send("POST", "/api/users/signout", {})
        while (await self.retry("POST", "/api/users/signin", self._credentials)).is_outcome_unknown:
            pass

    async def _list_ticket(self) -> str | None:
        # Every title is unique, so that a ticket that one form created twice is found.
        title = f"Seat {next(self._seats)} in row {self.name}"
        request = await self.submit("/api/tickets", {"title": title, "price": self._price()})
        if not request.succeeded:
            return None
        ticket_id = str(request.response["id"])
        self._listed.append(ticket_id)
        self._world.recent_tickets = [*self._world.recent_tickets[-199:], ticket_id]
        return ticket_id

    async def _start_rush(self) -> None:
        """List a ticket that all users order at once, and edit it at the same moment."""
        if ticket_id := await self._list_ticket():
            async with self._world.rush:
                self._world.rush_ticket = ticket_id
                self._world.rush.notify_all()
            await self._put(ticket_id, "Front row")

    async def _edit(self) -> None:
        """Edit a ticket once, or several times in a row."""
        if self._listed:
            ticket_id = self._rng.choice(self._listed[-10:])
            for _ in range(self._rng.choice([1, 1, 2, 3])):
                await self._put(ticket_id, f"Seat {self._rng.randrange(1000)}")

    async def _put(self, ticket_id: str, title: str) -> None:
        await self.send("PUT", f"/api/tickets/{ticket_id}", {"title": title, "price": self._price()})

    async def _browse(self) -> None:
        request = await self.send("GET", "/api/tickets?limit=20")
        if request.succeeded:
            self._offers = [ticket["id"] for ticket in request.response]

    async def _view_ticket(self) -> None:
        if self._world.recent_tickets:
            await self.send("GET", f"/api/tickets/{self._rng.choice(self._world.recent_tickets)}")

    async def _order(self, ticket_id: str | None = None) -> None:
        choice = self._offers if self._rng.random() < 0.8 else self._world.recent_tickets
        if ticket_id or choice:
            body = {"ticketId": ticket_id or self._rng.choice(choice)}
            request = await self.submit("/api/orders", body)
            if request.succeeded and request.response["id"] not in self._orders:
                self._orders.append(request.response["id"])

    async def _order_and_cancel(self) -> None:
        await self._order()
        await self._cancel()

    async def _pay(self, order_id: str | None = None) -> None:
        if not self._orders:
            return
        order_id = order_id or self._rng.choice(self._orders[-4:])
        body = {"orderId": order_id, "token": self._rng.choices(_CARDS, _CARD_WEIGHTS)[0]}
        clicks = 2 if self._rng.random() < 0.2 else 1
        payments = (self.retry("POST", "/api/payments", body) for _ in range(clicks))
        for request in await asyncio.gather(*payments):
            if request.status == 400:
                self._forget(order_id)
            if request.status == 202 and self._rng.random() < 0.8:  # otherwise they leave the bank's page
                await self._authenticate(request.response["clientSecret"])
                if self._rng.random() < 0.6:
                    await self.retry("POST", "/api/payments", body)

    async def _authenticate(self, client_secret: str) -> None:
        """Authenticate at the bank, which accepts three times out of four."""
        intent_id = client_secret.partition("_secret_")[0]
        data = {"client_secret": client_secret, "success": str(self._rng.random() < 0.75).lower()}
        async with httpx.AsyncClient(base_url=self._world.stripe_url, timeout=5, trust_env=False) as bank:
            with contextlib.suppress(httpx.TransportError):
                await bank.post(f"/v1/payment_intents/{intent_id}/_authenticate", data=data)

    async def _cancel(self, delay: float = 0) -> None:
        if self._orders:
            order_id = self._orders[-1]
            await asyncio.sleep(delay)
            await self.retry("DELETE", f"/api/orders/{order_id}")
            self._forget(order_id)

    async def _pay_and_cancel(self) -> None:
        """Pay and cancel the same order at the same time, as from two tabs."""
        if self._orders:
            await asyncio.gather(self._pay(self._orders[-1]), self._cancel(self._rng.uniform(0, 0.15)))

    def _forget(self, order_id: str) -> None:
        """Usually forget an order that has ended; sometimes keep it to try again."""
        if order_id in self._orders and self._rng.random() < 0.7:
            self._orders.remove(order_id)

    async def _refund(self) -> None:
        """As a seller, refund one of the latest sales."""
        sales = await self.send("GET", "/api/orders/sales?limit=5")
        if sales.succeeded and sales.response["orders"]:
            order_id = self._rng.choice(sales.response["orders"])["id"]
            await self.retry("POST", f"/api/orders/{order_id}/refund")

    async def _view_orders(self) -> None:
        """List the latest orders, also those whose response was lost, and view one of them."""
        request = await self.send("GET", "/api/orders?newestFirst=true&limit=5")
        for order in request.response["orders"] if request.succeeded else ():
            if order["status"] == "created" and order["id"] not in self._orders:
                self._orders.append(order["id"])
        if self._orders:
            await self.send("GET", f"/api/orders/{self._rng.choice(self._orders[-4:])}")

    async def _pause_for_rush(self) -> None:
        """Wait a moment; if a rush starts meanwhile, order its ticket."""
        try:
            async with asyncio.timeout(self._rng.uniform(0.05, 0.6)), self._world.rush:
                await self._world.rush.wait()
        except TimeoutError:
            return
        await self._order(self._world.rush_ticket)

    def _price(self) -> float:
        return self._rng.randrange(50, 20_000) / 100
