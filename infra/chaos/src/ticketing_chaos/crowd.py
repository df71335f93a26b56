"""The crowd: people who sign up, list, edit, browse, order, pay, are declined, cancel, refund and walk away.

Each person decides by a random generator of their own, so that a seed repeats what they want; what they get
depends on the moment.
"""

import asyncio
import itertools
import random
from dataclasses import dataclass, field

import httpx

from ticketing_chaos.browser import Browser
from ticketing_chaos.history import History

_THINKS = (0.05, 0.6)
_CARDS = {"tok_visa": 70, "pm_card_threeDSecure2Required": 15, "tok_chargeDeclined": 15}
_PASSWORD = "correct horse battery"


@dataclass
class Board:
    """What everybody at the market can see: the tickets that were talked about last."""

    tickets: list[str] = field(default_factory=list)
    rush: asyncio.Condition = field(default_factory=asyncio.Condition)
    hot: str | None = None
    """The ticket that everybody wants now."""

    def post(self, ticket_id: str) -> None:
        if ticket_id not in self.tickets:
            self.tickets.append(ticket_id)
            del self.tickets[:-200]

    async def announce(self, ticket_id: str) -> None:
        async with self.rush:
            self.hot = ticket_id
            self.rush.notify_all()


@dataclass(frozen=True)
class Place:
    """Where the market is."""

    base_url: str
    stripe_url: str


class Person:
    def __init__(
        self, name: str, place: Place, board: Board, history: History, chance: random.Random
    ) -> None:
        self.name, self._place, self._board, self._chance = name, place, board, chance
        self._browser = Browser(name, place.base_url, history, chance)
        self._titles = itertools.count(1)
        self._listed: list[str] = []
        self._offers: list[str] = []
        self._ordered: list[str] = []

    async def live(self, stopping: asyncio.Event) -> None:
        """Sign up, then do one thing after another until told to stop."""
        try:
            await self.sign_up(stopping)
            deeds = {
                self.list_ticket: 14,
                self._hold_a_rush: 3,
                self._edit: 12,
                self._change_their_mind: 6,
                self._browse: 16,
                self._look: 8,
                self._order: 30,
                self._pay: 26,
                self._cancel: 7,
                self._pay_and_cancel: 7,
                self._refund: 2,
                self._see_orders: 6,
                self._sign_in_again: 1,
                self._browser.submit_again: 4,
                self._visit_site: 4,
            }
            while not stopping.is_set():
                await self._chance.choices(list(deeds), list(deeds.values()))[0]()
                await self._think()
        finally:
            await self._browser.close()

    async def until_a_purchase_goes_through(self) -> None:
        """List, order and pay, as often as it takes."""
        while not await self._purchase():
            await self._browser.breathe()

    async def _purchase(self) -> bool:
        listed = await self._browser.ask("POST", "/api/tickets", {"title": "Canary", "price": 1})
        if not listed.is_done:
            return False
        ordered = await self._browser.insist("POST", "/api/orders", {"ticketId": listed.answer["id"]})
        if not ordered.is_done:
            return False
        order_id = ordered.answer["id"]
        await self._browser.insist("POST", "/api/payments", {"orderId": order_id, "token": "tok_visa"})
        for _ in range(20):
            seen = await self._browser.ask("GET", f"/api/orders/{order_id}")
            if seen.is_done and seen.answer["status"] != "created":
                return bool(seen.answer["status"] == "complete")
            await asyncio.sleep(0.1)
        return False

    async def list_ticket(self) -> str | None:
        # No two are alike, so that a seat that was listed twice by one form shows.
        title = f"Seat {next(self._titles)} in row {self.name}"
        call = await self._browser.submit("/api/tickets", {"title": title, "price": self._price()})
        if not call.is_done:
            return None
        self._listed.append(call.answer["id"])
        self._board.post(call.answer["id"])
        return str(call.answer["id"])

    async def _hold_a_rush(self) -> None:
        """List a ticket that everybody wants at the same moment, and edit it just then."""
        if ticket_id := await self.list_ticket():
            await self._board.announce(ticket_id)
            await self._browser.ask(
                "PUT", f"/api/tickets/{ticket_id}", {"title": "Front row", "price": self._price()}
            )

    async def _edit(self) -> None:
        """Once, or several times in a row: a slip of the finger, and its correction."""
        if self._listed:
            ticket_id = self._chance.choice(self._listed[-10:])
            for _ in range(self._chance.choice([1, 1, 2, 3])):
                body = {"title": f"Seat {self._chance.randrange(1000)}", "price": self._price()}
                await self._browser.ask("PUT", f"/api/tickets/{ticket_id}", body)

    async def _browse(self) -> None:
        call = await self._browser.ask("GET", "/api/tickets?limit=20")
        if call.is_done:
            self._offers = [ticket["id"] for ticket in call.answer]

    async def _visit_site(self) -> None:
        await self._browser.ask("GET", "/")

    async def _look(self) -> None:
        if self._board.tickets:
            await self._browser.ask("GET", f"/api/tickets/{self._chance.choice(self._board.tickets)}")

    async def _order(self, ticket_id: str | None = None) -> None:
        if ticket_id is None:
            choice = self._offers if self._chance.random() < 0.8 else self._board.tickets
            if not choice:
                return
            ticket_id = self._chance.choice(choice)
        call = await self._browser.submit("/api/orders", {"ticketId": ticket_id})
        if call.is_done and call.answer["id"] not in self._ordered:
            self._ordered.append(call.answer["id"])

    async def _change_their_mind(self) -> None:
        await self._order()
        await self._cancel()

    async def _pay(self, order_id: str | None = None) -> None:
        if order_id is None:
            if not self._ordered:
                return
            order_id = self._chance.choice(self._ordered[-4:])
        card = self._chance.choices(list(_CARDS), list(_CARDS.values()))[0]
        body = {"orderId": order_id, "token": card}
        twice = self._chance.random() < 0.2  # a double click
        calls = await asyncio.gather(
            *(self._browser.insist("POST", "/api/payments", body) for _ in range(1 + twice))
        )
        for call in calls:
            if call.status == 400:
                self._let_go(order_id)
            if call.status == 202 and self._chance.random() < 0.8:  # else they never come back from the bank
                await self._authenticate(call.answer["clientSecret"])
                if self._chance.random() < 0.6:
                    await self._browser.insist("POST", "/api/payments", body)

    async def _authenticate(self, client_secret: str) -> None:
        """At the bank, which agrees three times of four."""
        intent_id = client_secret.partition("_secret_")[0]
        data = {"client_secret": client_secret, "success": str(self._chance.random() < 0.75).lower()}
        async with httpx.AsyncClient(base_url=self._place.stripe_url, timeout=5, trust_env=False) as bank:
            try:
                await bank.post(f"/v1/payment_intents/{intent_id}/_authenticate", data=data)
            except httpx.TransportError:
                return

    async def _cancel(self, order_id: str | None = None) -> None:
        if self._ordered:
            order_id = order_id or self._ordered[-1]
            await self._browser.insist("DELETE", f"/api/orders/{order_id}")
            self._let_go(order_id)

    async def _pay_and_cancel(self) -> None:
        """Both at once, from two tabs."""
        if self._ordered:
            order_id = self._ordered[-1]
            await asyncio.gather(self._pay(order_id), self._cancel_soon(order_id))

    async def _cancel_soon(self, order_id: str) -> None:
        await asyncio.sleep(self._chance.uniform(0, 0.15))
        await self._cancel(order_id)

    def _let_go(self, order_id: str) -> None:
        """It is over, and mostly that is all; now and then they try again."""
        if order_id in self._ordered and self._chance.random() < 0.7:
            self._ordered.remove(order_id)

    async def _refund(self) -> None:
        """Give a buyer their money back, if anything was sold."""
        sales = await self._browser.ask("GET", "/api/orders/sales?limit=5")
        if sales.is_done and sales.answer["orders"]:
            order_id = self._chance.choice(sales.answer["orders"])["id"]
            await self._browser.insist("POST", f"/api/orders/{order_id}/refund")

    async def _see_orders(self) -> None:
        """The list shows what they have, also what no answer told them of."""
        call = await self._browser.ask("GET", "/api/orders?newestFirst=true&limit=5")
        if call.is_done:
            for order in call.answer["orders"]:
                if order["status"] == "created" and order["id"] not in self._ordered:
                    self._ordered.append(order["id"])
        if self._ordered:
            await self._browser.ask("GET", f"/api/orders/{self._chance.choice(self._ordered[-4:])}")

    async def sign_up(self, stopping: asyncio.Event) -> None:
        who = {"email": f"{self.name}@example.com", "password": _PASSWORD}
        while not stopping.is_set():
            call = await self._browser.submit("/api/users/signup", who)
            if call.status == 400:  # an earlier try was done after all
                call = await self._browser.insist("POST", "/api/users/signin", who)
            if call.is_done:
                return

    async def _sign_in_again(self) -> None:
        await self._browser.ask("POST", "/api/users/signout", {})
        who = {"email": f"{self.name}@example.com", "password": _PASSWORD}
        while (await self._browser.ask("POST", "/api/users/signin", who)).status in (None, 503):
            await self._browser.breathe()

    async def _think(self) -> None:
        """For a moment, or until there is a rush."""
        hot = self._board.hot
        try:
            async with asyncio.timeout(self._chance.uniform(*_THINKS)), self._board.rush:
                await self._board.rush.wait()
        except TimeoutError:
            return
        if self._board.hot and self._board.hot != hot:
            await self._order(self._board.hot)

    def _price(self) -> float:
        return self._chance.randrange(50, 20_000) / 100
