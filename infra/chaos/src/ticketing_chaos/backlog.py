"""A backlog: people who list, edit, order and cancel as fast as they can while NATS is down."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from ticketing_chaos.browser import Browser
from ticketing_chaos.history import History

_PEOPLE = 40
_SECONDS = 45
"""Thousands of events, by the machine."""


@dataclass
class Backlog:
    base_url: str
    history: History
    chance: random.Random
    seed: int
    _names: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _browsers: list[Browser] = field(default_factory=list)
    _tickets: list[str] = field(default_factory=list)

    async def prepare(self) -> None:
        """With all services up: new people sign up, and each lists a ticket that can be ordered later."""
        self._browsers = [
            Browser(f"load{next(self._names)}-{self.seed}", self.base_url, self.history, self.chance)
            for _ in range(_PEOPLE)
        ]
        listed = await asyncio.gather(*map(self._join, self._browsers))
        self._tickets = [ticket_id for ticket_id in listed if ticket_id]

    async def _join(self, browser: Browser) -> str | None:
        who = {"email": f"{browser.name}@example.com", "password": "correct horse battery"}
        await browser.insist("POST", "/api/users/signup", who)
        ticket = {"title": f"To order, of {browser.name}", "price": 5}
        listed = await browser.insist("POST", "/api/tickets", ticket)
        if not listed.is_done:
            return None
        ordered = await browser.insist("POST", "/api/orders", {"ticketId": listed.answer["id"]})
        if ordered.is_done:
            await browser.insist("DELETE", f"/api/orders/{ordered.answer['id']}")
        return str(listed.answer["id"])

    async def build(self) -> None:
        """With NATS down: each person orders everybody's tickets in turn, so that they seldom meet."""
        try:
            async with asyncio.timeout(_SECONDS):
                await asyncio.gather(*(self._work(n, browser) for n, browser in enumerate(self._browsers)))
        except TimeoutError:
            return
        finally:
            for browser in self._browsers:
                await browser.close()

    async def _work(self, n: int, browser: Browser) -> None:
        for step in itertools.count():
            ticket = {"title": f"Offer {step} of {browser.name}", "price": 5}
            listed = await browser.ask("POST", "/api/tickets", ticket)
            if listed.is_done:
                await browser.ask("PUT", f"/api/tickets/{listed.answer['id']}", ticket | {"price": 6})
            if self._tickets:
                ticket_id = self._tickets[(n + step) % len(self._tickets)]
                ordered = await browser.ask("POST", "/api/orders", {"ticketId": ticket_id})
                if ordered.is_done:
                    await browser.ask("DELETE", f"/api/orders/{ordered.answer['id']}")
