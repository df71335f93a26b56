"""`make demo`: a sale, a declined card, a refund and an expired order over HTTP, printed as a timeline."""

import asyncio
import os
import secrets
import shutil
import sys
import time
from datetime import UTC, datetime

import httpx

from ticketing_local.api import (
    Json,
    Refused,
    eventually,
    get,
    list_ticket,
    order,
    pay,
    refund,
    sign_up,
    visitor,
)
from ticketing_local.console import Console, terminal

MAX_WAIT_SECONDS = 60
"""With a longer EXPIRATION_WINDOW_SECONDS the demo does not wait for an order to expire."""


class Unexpected(Exception):
    """The market gave an answer that is a bug."""


def main() -> None:
    base_url = os.environ.get("BASE_URL") or f"http://localhost:{os.environ.get('PORT') or 8000}"
    timeline = Timeline(terminal())
    try:
        asyncio.run(run_demo(base_url.rstrip("/"), timeline))
    except httpx.TransportError as error:
        timeline.fail(
            f"Nothing answers at {base_url} ({type(error).__name__}). Start the stack with `make up`, "
            "or set PORT to its port."
        )
        sys.exit(1)
    except (Refused, Unexpected, TimeoutError) as error:
        timeline.fail(f"Unexpected: {error}\nLook at the output of `make up`.")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


class Timeline:
    """Prints one line for each step, with the time since the start and the result."""

    _COLOURS = {"Sam": 35, "Alice": 36, "Bob": 33, "market": 90}

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started_at = time.monotonic()
        self._width = min(shutil.get_terminal_size().columns, 110)

    def heading(self, text: str) -> None:
        self._clear_countdown()
        self._console.say(f"\n{self._console.paint(text, 1)}")

    def step(self, who: str, action: str, result: str = "", ok: bool = True) -> None:
        self._clear_countdown()
        paint = self._console.paint
        elapsed = paint(f"{time.monotonic() - self._started_at:6.2f} s", 2)
        mark = paint("✓", 32) if ok else paint("✗", 31)
        result = f"  {mark} {result}" if result else ""
        self._console.say(
            f"{elapsed}  {paint(f'{who:<7}', self._COLOURS[who])} {action:<52}{result}".rstrip()
        )

    def countdown(self, text: str, seconds: float) -> None:
        """A line that changes in place; nothing without a terminal."""
        if self._console.has_colour:
            line = f"          {text} {seconds:4.1f} s {'▪' * min(round(seconds), 60)}"[: self._width]
            self._console.stream.write(f"\r\x1b[K{self._console.paint(line, 2)}")
            self._console.stream.flush()

    def note(self, text: str) -> None:
        self._console.say(f"          {self._console.paint(text, 2)}")

    def end(self, text: str) -> None:
        self._console.say(f"\n{text}\n")

    def fail(self, text: str) -> None:
        self._clear_countdown()
        self._console.fail(text)

    def _clear_countdown(self) -> None:
        if self._console.has_colour:
            self._console.stream.write("\r\x1b[K")


async def run_demo(base_url: str, timeline: Timeline) -> None:
    async with visitor(base_url) as sam, visitor(base_url) as alice, visitor(base_url) as bob:
        timeline.heading(f"Demo of the market at {base_url}")
        demo = Demo(sam, alice, bob, timeline)
        timeline.heading("A sale")
        await demo.sign_up_all()
        await demo.sell()
        timeline.heading("A declined card")
        await demo.decline()
        timeline.heading("A refund")
        await demo.refund()
        timeline.heading("An order that is not paid")
        await demo.expire()
    timeline.end("The demo is complete. Each run creates new accounts and new tickets.")


class Demo:
    """Sam sells, Alice and Bob buy."""

    def __init__(
        self, sam: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, timeline: Timeline
    ) -> None:
        self._people = {"Sam": sam, "Alice": alice, "Bob": bob}
        self._timeline = timeline

    async def sign_up_all(self) -> None:
        for name, client in self._people.items():
            email = f"{name.lower()}-{secrets.token_hex(4)}@example.com"
            await sign_up(client, email, secrets.token_urlsafe(12))
            self._timeline.step(name, f"signs up as {email}", "signed in")

    async def sell(self) -> None:
        ticket = await self._list("Nick Cave, Royal Albert Hall, arena 7", 89.50)
        placed = await self._order("Alice", ticket)
        try:
            await order(self._people["Bob"], ticket)
        except Refused as refused:
            if refused.status != 400:
                raise
            self._timeline.step("Bob", "orders it, too", f"refused: {refused.message}", ok=False)
        else:
            raise Unexpected("two buyers reserved the same ticket.")
        await self._wait_for_ticket(ticket, placed["id"], "reserved for Alice")
        await self._pay("Alice", placed["id"])

    async def decline(self) -> None:
        ticket = await self._list("Macbeth, Almeida Theatre, circle A12", 45.00)
        placed = await self._order("Alice", ticket)
        try:
            await pay(self._people["Alice"], placed["id"], "tok_chargeDeclined")
        except Refused as refused:
            if refused.status != 400:
                raise
            self._timeline.step(
                "Alice", "pays with a card that is declined", f"refused: {refused.message}", ok=False
            )
        else:
            raise Unexpected("a payment with a declined card was accepted.")
        await self._wait_for_cancellation(ticket, placed["id"])
        placed = await self._order("Bob", ticket)
        await self._pay("Bob", placed["id"])

    async def refund(self) -> None:
        ticket = await self._list("Fleabag, Wyndham's Theatre, stalls D4", 37.50)
        placed = await self._order("Alice", ticket)
        await self._pay("Alice", placed["id"])
        await refund(self._people["Sam"], placed["id"])
        self._timeline.step("Sam", "refunds Alice", "accepted")
        done = await eventually(
            lambda: get(self._people["Alice"], f"/api/orders/{placed['id']}/refund"),
            lambda refund: refund["status"] != "pending",
            "the refund is no longer pending",
        )
        if done["status"] != "done":
            raise Unexpected(f"the refund failed: {done['message']}")
        self._timeline.step("market", "refunds the order", done["message"])
        await self._wait_for_ticket(ticket, None, "for sale again")

    async def expire(self) -> None:
        ticket = await self._list("Stewart Lee, Leicester Square Theatre", 22.00)
        placed = await self._order("Alice", ticket)
        left = _seconds_until(placed["expiresAt"])
        if left > MAX_WAIT_SECONDS:
            self._timeline.step("Alice", f"does not pay; the order expires in {left / 60:.0f} minutes")
            self._timeline.note("To see an order expire: EXPIRATION_WINDOW_SECONDS=10 make up")
            return
        self._timeline.step("Alice", "does not pay")
        while (left := _seconds_until(placed["expiresAt"])) > 0:
            self._timeline.countdown("the order expires in", left)
            await asyncio.sleep(min(left, 0.25))
        await self._wait_for_cancellation(ticket, placed["id"])

    async def _list(self, title: str, price: float) -> str:
        ticket = await list_ticket(self._people["Sam"], title, price)
        self._timeline.step("Sam", f"lists “{title}”", f"for sale at ${price:.2f}")
        return str(ticket["id"])

    async def _order(self, name: str, ticket: str) -> Json:
        # The event that lists or releases the ticket may not have reached orders yet.
        async def try_to_order() -> Json | Refused:
            try:
                return await order(self._people[name], ticket)
            except Refused as refused:
                if refused.status not in (400, 404):
                    raise
                return refused

        placed = await eventually(
            try_to_order, lambda answer: not isinstance(answer, Refused), f"{name} can order"
        )
        assert not isinstance(placed, Refused)
        minutes, seconds = divmod(round(_seconds_until(placed["expiresAt"])), 60)
        self._timeline.step(name, "orders it", f"reserved; {minutes}:{seconds:02} to pay")
        return placed

    async def _pay(self, name: str, order_id: str) -> None:
        await pay(self._people[name], order_id, "tok_visa")
        self._timeline.step(name, "pays with a Visa card", "authorised; captured when the order is complete")
        await self._wait_for_order(name, order_id, "complete")
        self._timeline.step("market", "completes the order", f"the ticket is {name}'s")

    async def _wait_for_cancellation(self, ticket: str, order_id: str) -> None:
        cancelled = await self._wait_for_order("Alice", order_id, "cancelled")
        self._timeline.step("market", f"cancels the order ({cancelled['reason']})")
        await self._wait_for_ticket(ticket, None, "for sale again")

    async def _wait_for_order(self, name: str, order_id: str, status: str) -> Json:
        return await eventually(
            lambda: get(self._people[name], f"/api/orders/{order_id}"),
            lambda order: order["status"] == status,
            f"the order is {status}",
        )

    async def _wait_for_ticket(self, ticket: str, order_id: str | None, state: str) -> None:
        await eventually(
            lambda: get(self._people["Alice"], f"/api/tickets/{ticket}"),
            lambda seen: seen["orderId"] == order_id,
            f"the ticket is {state}",
        )
        self._timeline.step("market", "shows the ticket", state)


def _seconds_until(time: str) -> float:
    return (datetime.fromisoformat(time) - datetime.now(UTC)).total_seconds()


if __name__ == "__main__":
    main()
