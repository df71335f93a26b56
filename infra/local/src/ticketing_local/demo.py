"""`make demo`: a sale, a declined card, a refund and an expired order over HTTP, printed as a timeline."""

import asyncio
import os
import secrets
import shutil
import sys
import time
from collections.abc import Awaitable
from datetime import UTC, datetime

import httpx

from ticketing_local import api
from ticketing_local.api import Json, Refused, eventually, get, new_client
from ticketing_local.console import Console, terminal

MAX_WAIT_SECONDS = 60
"""With a longer EXPIRATION_WINDOW_SECONDS the demo does not wait until an order expires."""
_COLOURS = {"Sam": 35, "Alice": 36, "Bob": 33, "market": 90}


class Unexpected(Exception):
    """The market gave an answer that is a bug."""


def main() -> None:
    base_url = os.environ.get("BASE_URL") or f"http://localhost:{os.environ.get('PORT') or 8000}"
    console = terminal()
    try:
        asyncio.run(run_demo(base_url.rstrip("/"), console))
    except httpx.TransportError as error:
        console.fail(
            f"Nothing answers at {base_url} ({type(error).__name__}). Start the stack with `make up`, "
            "or set PORT to the port of a running one."
        )
        sys.exit(1)
    except (Refused, Unexpected, TimeoutError) as error:
        console.fail(f"The market did not do what it should: {error} Look at the output of `make up`.")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


async def run_demo(base_url: str, console: Console) -> None:
    async with new_client(base_url) as sam, new_client(base_url) as alice, new_client(base_url) as bob:
        demo = Demo({"Sam": sam, "Alice": alice, "Bob": bob}, console)
        demo.print_heading(f"Demo of the market at {base_url}")
        await demo.sign_up()
        for heading, chapter in [
            ("A sale", demo.sell),
            ("A declined card", demo.decline),
            ("A refund", demo.refund),
            ("An order that is not paid", demo.expire),
        ]:
            demo.print_heading(heading)
            await chapter()
    console.say("\nThe demo is complete. Each run creates new accounts and new tickets.\n")


class Demo:
    """Sam sells tickets; Alice and Bob buy them."""

    def __init__(self, people: dict[str, httpx.AsyncClient], console: Console) -> None:
        self._people = people
        self._console = console
        self._started_at = time.monotonic()

    async def sign_up(self) -> None:
        for name, client in self._people.items():
            email = f"{name.lower()}-{secrets.token_hex(4)}@example.com"
            await api.sign_up(client, email, secrets.token_urlsafe(12))
            self._print_step(name, f"signs up as {email}", "signed in")

    async def sell(self) -> None:
        ticket = await self._list("Nick Cave, Royal Albert Hall, arena 7", 89.50)
        order_id = (await self._order("Alice", ticket))["id"]
        await self._expect_refusal("Bob", "orders it, too", api.order(self._people["Bob"], ticket))
        await self._wait_for_ticket(ticket, order_id, "reserved for Alice")
        await self._pay("Alice", order_id)

    async def decline(self) -> None:
        ticket = await self._list("Macbeth, Almeida Theatre, circle A12", 45.00)
        order_id = (await self._order("Alice", ticket))["id"]
        payment = api.pay(self._people["Alice"], order_id, "tok_chargeDeclined")
        await self._expect_refusal("Alice", "pays with a card that is declined", payment)
        await self._wait_for_cancellation(ticket, order_id)
        await self._pay("Bob", (await self._order("Bob", ticket))["id"])

    async def refund(self) -> None:
        ticket = await self._list("Fleabag, Wyndham's Theatre, stalls D4", 37.50)
        order_id = (await self._order("Alice", ticket))["id"]
        await self._pay("Alice", order_id)
        await api.refund(self._people["Sam"], order_id)
        self._print_step("Sam", "refunds Alice", "accepted")
        done = await eventually(
            lambda: get(self._people["Alice"], f"/api/orders/{order_id}/refund"),
            lambda refund: refund["status"] != "pending",
            "the refund is decided",
        )
        if done["status"] != "done":
            raise Unexpected(f"the refund failed: {done['message']}")
        self._print_step("market", "refunds the order", done["message"])
        await self._wait_for_ticket(ticket, None, "for sale again")

    async def expire(self) -> None:
        ticket = await self._list("Stewart Lee, Leicester Square Theatre", 22.00)
        placed = await self._order("Alice", ticket)
        left = _seconds_until(placed["expiresAt"])
        if left > MAX_WAIT_SECONDS:
            self._print_step("Alice", f"does not pay; the order expires in {left / 60:.0f} minutes")
            hint = "To see an order expire, start the stack with EXPIRATION_WINDOW_SECONDS=10 make up"
            self._console.say(f"          {self._console.paint(hint, 2)}")
            return
        self._print_step("Alice", "does not pay")
        width = min(shutil.get_terminal_size().columns, 110)
        try:
            while (left := _seconds_until(placed["expiresAt"])) > 0:
                line = f"          the order expires in {left:4.1f} s {'▪' * round(left)}"
                self._console.overwrite_line(line[:width])
                await asyncio.sleep(min(left, 0.25))
        finally:
            self._console.overwrite_line("")
        await self._wait_for_cancellation(ticket, placed["id"])

    async def _list(self, title: str, price: float) -> str:
        ticket = await api.list_ticket(self._people["Sam"], title, price)
        self._print_step("Sam", f"lists “{title}”", f"for sale at ${price:.2f}")
        return str(ticket["id"])

    async def _order(self, name: str, ticket: str) -> Json:
        # Refused while the event that lists or releases the ticket has not reached orders.
        async def try_to_order() -> Json | Refused:
            try:
                return await api.order(self._people[name], ticket)
            except Refused as refused:
                if refused.status not in (400, 404):
                    raise
                return refused

        placed = await eventually(try_to_order, lambda answer: isinstance(answer, dict), f"{name} can order")
        assert isinstance(placed, dict)
        minutes, seconds = divmod(round(_seconds_until(placed["expiresAt"])), 60)
        self._print_step(name, "orders it", f"reserved; {minutes}:{seconds:02} to pay")
        return placed

    async def _pay(self, name: str, order_id: str) -> None:
        await api.pay(self._people[name], order_id, "tok_visa")
        self._print_step(name, "pays with a Visa card", "authorised; captured when the order is complete")
        await self._wait_for_order(name, order_id, "complete")
        self._print_step("market", "completes the order", f"the ticket is {name}'s")

    async def _wait_for_cancellation(self, ticket: str, order_id: str) -> None:
        cancelled = await self._wait_for_order("Alice", order_id, "cancelled")
        self._print_step("market", f"cancels the order ({cancelled['reason']})")
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
        self._print_step("market", "shows the ticket", state)

    def print_heading(self, text: str) -> None:
        self._console.say(f"\n{self._console.paint(text, 1)}")

    async def _expect_refusal(self, who: str, action: str, attempt: Awaitable[Json]) -> None:
        try:
            await attempt
        except Refused as refused:
            if refused.status != 400:
                raise
            self._print_step(who, action, f"refused: {refused.message}", ok=False)
        else:
            raise Unexpected(f"{who} {action}, and the market accepted it.")

    def _print_step(self, who: str, action: str, result: str = "", ok: bool = True) -> None:
        paint = self._console.paint
        elapsed = paint(f"{time.monotonic() - self._started_at:6.2f} s", 2)
        mark = paint("✓", 32) if ok else paint("✗", 31)
        result = f"  {mark} {result}" if result else ""
        self._console.say(f"{elapsed}  {paint(f'{who:<7}', _COLOURS[who])} {action:<52}{result}".rstrip())


def _seconds_until(time: str) -> float:
    return (datetime.fromisoformat(time) - datetime.now(UTC)).total_seconds()


if __name__ == "__main__":
    main()
