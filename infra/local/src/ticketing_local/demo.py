"""`make demo`: a sale, a decline, a refund and an expiry, performed over HTTP and told as a timeline."""

import asyncio
import os
import secrets
import sys
from datetime import UTC, datetime

import httpx

from ticketing_local.console import terminal
from ticketing_local.market import (
    Json,
    Refused,
    eventually,
    list_ticket,
    order,
    pay,
    refund,
    see_order,
    see_refund,
    see_ticket,
    sign_up,
    visitor,
)
from ticketing_local.timeline import Timeline

PATIENCE_SECONDS = 60
"""The longest window for which the demo waits to see an order expire."""


class Surprise(Exception):
    """The market did something that the demo did not expect."""


def main() -> None:
    base_url = os.environ.get("BASE_URL") or f"http://localhost:{os.environ.get('PORT') or 8000}"
    timeline = Timeline(terminal())
    try:
        asyncio.run(demo(base_url.rstrip("/"), timeline))
    except httpx.TransportError as error:
        timeline.fail(f"No market answers at {base_url} ({type(error).__name__}). Start one: make up")
        sys.exit(1)
    except (Refused, Surprise, TimeoutError) as error:
        timeline.fail(f"The market did not do what it should: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


async def demo(base_url: str, tell: Timeline) -> None:
    async with visitor(base_url) as sam, visitor(base_url) as alice, visitor(base_url) as bob:
        tell.title(f"A day at the market, {base_url}")
        tell.chapter("A sale")
        await _sign_up_all({"Sam": sam, "Alice": alice, "Bob": bob}, tell)
        await _a_sale(sam, alice, bob, tell)
        tell.chapter("A declined card")
        await _a_decline(sam, alice, bob, tell)
        tell.chapter("A refund")
        await _a_refund(sam, alice, tell)
        tell.chapter("An order that nobody pays")
        await _an_expiry(sam, alice, tell)
    tell.end("That is the market's whole job. Run it again: it brings new people and new tickets.")


async def _sign_up_all(people: dict[str, httpx.AsyncClient], tell: Timeline) -> None:
    for name, who in people.items():
        email = f"{name.lower()}-{secrets.token_hex(4)}@example.com"
        await sign_up(who, email, secrets.token_urlsafe(12))
        tell.step(name, f"signs up as {email}", "welcome")


async def _a_sale(
    sam: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, tell: Timeline
) -> None:
    ticket = await _list(sam, "Nick Cave, Royal Albert Hall, arena 7", 89.50, tell)
    bought = await _order(alice, "Alice", ticket, tell)
    await _refused_order(bob, ticket, tell)
    await _shown_as(alice, ticket, bought["id"], "reserved for Alice", tell)
    await pay(alice, bought["id"], "tok_visa")
    tell.step("Alice", "pays with a Visa card", "authorised; captured once the order is hers")
    await _order_becomes(alice, bought["id"], "complete")
    tell.step("market", "completes the order", "the ticket is Alice's")


async def _a_decline(
    sam: httpx.AsyncClient, alice: httpx.AsyncClient, bob: httpx.AsyncClient, tell: Timeline
) -> None:
    ticket = await _list(sam, "Macbeth, Almeida Theatre, circle A12", 45.00, tell)
    hers = await _order(alice, "Alice", ticket, tell)
    try:
        await pay(alice, hers["id"], "tok_chargeDeclined")
    except Refused as refused:
        if refused.status != 400:
            raise
        tell.step("Alice", "pays with a card without money", f"refused: {refused.message}", good=False)
    else:
        raise Surprise("a payment with a declined card was accepted.")
    cancelled = await _order_becomes(alice, hers["id"], "cancelled")
    tell.step("market", f"cancels her order ({cancelled['reason']})", "")
    await _shown_as(alice, ticket, None, "for sale again", tell)
    his = await _order(bob, "Bob", ticket, tell)
    await pay(bob, his["id"], "tok_visa")
    await _order_becomes(bob, his["id"], "complete")
    tell.step("Bob", "pays with a Visa card", "the ticket is Bob's")


async def _a_refund(sam: httpx.AsyncClient, alice: httpx.AsyncClient, tell: Timeline) -> None:
    ticket = await _list(sam, "Fleabag, Wyndham's Theatre, stalls D4", 37.50, tell)
    bought = await _order(alice, "Alice", ticket, tell)
    await pay(alice, bought["id"], "tok_visa")
    await _order_becomes(alice, bought["id"], "complete")
    tell.step("Alice", "pays with a Visa card", "the ticket is Alice's")
    await refund(sam, bought["id"])
    tell.step("Sam", "refunds her", "the order is refunded")
    done = await eventually(
        lambda: see_refund(alice, bought["id"]),
        lambda seen: seen["status"] != "pending",
        "the refund is over",
    )
    if done["status"] != "done":
        raise Surprise(f"the refund failed: {done['message']}")
    tell.step("market", "tells Alice", done["message"])
    await _shown_as(alice, ticket, None, "for sale again", tell)


async def _an_expiry(sam: httpx.AsyncClient, alice: httpx.AsyncClient, tell: Timeline) -> None:
    ticket = await _list(sam, "Stewart Lee, Leicester Square Theatre", 22.00, tell)
    ordered = await _order(alice, "Alice", ticket, tell)
    left = _seconds_until(ordered["expiresAt"])
    if left > PATIENCE_SECONDS:
        tell.step("Alice", f"does not pay: the ticket is free again in {left / 60:.0f} minutes", "")
        tell.note(
            "To see it happen, start the market with a short window: EXPIRATION_WINDOW_SECONDS=10 make up"
        )
        return
    tell.step("Alice", "goes for a walk, and does not pay", "")
    while (left := _seconds_until(ordered["expiresAt"])) > 0:
        tell.countdown("the order expires in", left)
        await asyncio.sleep(min(left, 0.25))
    expired = await _order_becomes(alice, ordered["id"], "cancelled")
    tell.step("market", f"cancels her order ({expired['reason']})", "")
    await _shown_as(alice, ticket, None, "for sale again", tell)


async def _list(sam: httpx.AsyncClient, title: str, price: float, tell: Timeline) -> str:
    ticket = await list_ticket(sam, title, price)
    tell.step("Sam", f"lists “{title}”", f"for sale at ${price:.2f}")
    return str(ticket["id"])


async def _order(who: httpx.AsyncClient, name: str, ticket: str, tell: Timeline) -> Json:
    # A ticket that was listed, or set free, a moment ago: the orders service hears of it by an event.
    async def attempt() -> Json | Refused:
        try:
            return await order(who, ticket)
        except Refused as refused:
            if refused.status not in (400, 404):
                raise
            return refused

    ordered = await eventually(attempt, lambda got: not isinstance(got, Refused), f"{name} can order")
    assert not isinstance(ordered, Refused)
    minutes, seconds = divmod(round(_seconds_until(ordered["expiresAt"])), 60)
    tell.step(name, "orders it", f"reserved; {minutes}:{seconds:02} to pay")
    return ordered


async def _refused_order(who: httpx.AsyncClient, ticket: str, tell: Timeline) -> None:
    try:
        await order(who, ticket)
    except Refused as refused:
        if refused.status != 400:
            raise
        tell.step("Bob", "orders it, too", f"refused: {refused.message}", good=False)
    else:
        raise Surprise("two people have the same ticket.")


async def _shown_as(
    who: httpx.AsyncClient, ticket: str, order_id: str | None, words: str, tell: Timeline
) -> None:
    await eventually(
        lambda: see_ticket(who, ticket), lambda seen: seen["orderId"] == order_id, f"the ticket is {words}"
    )
    tell.step("market", "shows the ticket", words)


async def _order_becomes(who: httpx.AsyncClient, order_id: str, status: str) -> Json:
    return await eventually(
        lambda: see_order(who, order_id), lambda seen: seen["status"] == status, f"the order is {status}"
    )


def _seconds_until(time: str) -> float:
    return (datetime.fromisoformat(time) - datetime.now(UTC)).total_seconds()


if __name__ == "__main__":
    main()
