"""The HTTP routes of the tickets service."""

import asyncio
import json
from decimal import Decimal

import pytest

from ticketing_common.testing import new_user, published, session, wait_until
from ticketing_common.values.clock import now
from ticketing_common.values.events import OrderCreated, PricedTicket, TicketCreated, TicketUpdated
from ticketing_common.values.ids import new_id

SELLER = new_user()
TICKET = {"title": "Opera", "price": 19.99}


async def offer(client, *, user=SELLER, **changes):
    answer = await client.post("/api/tickets", json=TICKET | changes, headers=session(user))
    assert answer.status_code == 201, answer.text
    return answer.json()


async def reserve(client, bus, ticket_id, order_id):
    """Publish an order of the ticket, and wait until the service has reserved the ticket."""
    ordered = PricedTicket(id=ticket_id, price=Decimal("19.99"), n=1)
    await bus.publish(
        OrderCreated(
            id=order_id, version=0, status="created", user_id=new_id(), expires_at=now(), ticket=ordered
        )
    )

    async def is_reserved():
        return (await client.get(f"/api/tickets/{ticket_id}")).json()["orderId"] == order_id

    await wait_until(is_reserved)


async def test_listed_ticket_is_shown_and_published(client, bus):
    ticket = await offer(client)
    assert ticket == {
        "id": ticket["id"],
        "title": "Opera",
        "price": 19.99,
        "userId": SELLER.id,
        "version": 0,
        "orderId": None,
    }
    assert (await client.get(f"/api/tickets/{ticket['id']}")).json() == ticket
    (event,) = await wait_until(lambda: published(bus, TicketCreated))
    assert (event.id, event.version, event.title) == (ticket["id"], 0, "Opera")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"title": "", "price": 10}, "title"),
        ({"title": "   ", "price": 10}, "title"),
        ({"title": "x" * 201, "price": 10}, "title"),
        ({"title": 7, "price": 10}, "title"),
        ({"title": "\ud800", "price": 10}, "title"),
        ({"price": 10}, "title"),
        ({"title": "Opera"}, "price"),
        ({"title": "Opera", "price": "10"}, "price"),
        ({"title": "Opera", "price": True}, "price"),
        ({"title": "Opera", "price": None}, "price"),
        ({"title": "Opera", "price": 0.49}, "price"),
        ({"title": "Opera", "price": -10}, "price"),
        ({"title": "Opera", "price": 1_000_000}, "price"),
        ({"title": "Opera", "price": 10.001}, "price"),
        ({"title": "Opera", "price": float("nan")}, "price"),
        ({"title": "Opera", "price": float("inf")}, "price"),
    ],
)
async def test_error_names_the_invalid_field(client, body, field):
    headers = session(SELLER) | {"content-type": "application/json"}
    answer = await client.post("/api/tickets", content=json.dumps(body), headers=headers)
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert "code" not in answer.json()["errors"][0]


@pytest.mark.parametrize("price", [0.50, 999999.99, 10, 0.57, 19.90])
async def test_price_is_returned_unchanged(client, price):
    assert (await offer(client, price=price))["price"] == price


async def test_title_is_trimmed(client):
    assert (await offer(client, title="  Opera  "))["title"] == "Opera"


async def test_listing_checks_the_session_before_the_body(client):
    for content in ("{", "[]", '{"title": ""}', b"\xff"):
        answer = await client.post(
            "/api/tickets", content=content, headers={"content-type": "application/json"}
        )
        assert answer.status_code == 401, content
        assert answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("content", ["{", "[]", "7", "", b"\xff\xfe", "[" * 50_000, '{"title":'])
async def test_body_that_is_not_a_json_object_is_rejected(client, content):
    headers = session(SELLER) | {"content-type": "application/json"}
    answer = await client.post("/api/tickets", content=content, headers=headers)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["message"]


@pytest.mark.parametrize("ticket_id", ["unknown", "f" * 24, "F" * 24, "%00", "a" * 5000])
async def test_unknown_or_malformed_id_is_404(client, ticket_id):
    assert (await client.get(f"/api/tickets/{ticket_id}")).status_code == 404
    answer = await client.put(f"/api/tickets/{ticket_id}", json=TICKET, headers=session(SELLER))
    assert answer.status_code == 404


async def test_each_edit_by_the_seller_adds_one_version_and_one_event(client, bus):
    ticket = await offer(client)
    url = f"/api/tickets/{ticket['id']}"
    edited = await client.put(url, json={"title": "Ballet", "price": 5}, headers=session(SELLER))
    assert (edited.json()["version"], edited.json()["title"], edited.json()["price"]) == (1, "Ballet", 5)
    again = await client.put(url, json={"title": "Ballet", "price": 5}, headers=session(SELLER))
    assert again.json() == edited.json()
    third = await client.put(url, json=TICKET, headers=session(SELLER))
    assert third.json()["version"] == 2

    async def both():
        return len(await published(bus, TicketUpdated)) == 2

    await wait_until(both)
    assert [event.version for event in await published(bus, TicketUpdated)] == [1, 2]


async def test_edit_by_another_user_is_rejected(client):
    ticket = await offer(client)
    url = f"/api/tickets/{ticket['id']}"
    assert (await client.put(url, json=TICKET)).status_code == 401
    assert (await client.put(url, json=TICKET, headers=session(new_user()))).status_code == 401


async def test_concurrent_edits_are_all_applied_in_turn(client):
    ticket = await offer(client)
    url = f"/api/tickets/{ticket['id']}"
    answers = await asyncio.gather(
        *(client.put(url, json={"title": f"T{i}", "price": 1}, headers=session(SELLER)) for i in range(20))
    )
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 21))


async def test_reserved_ticket_is_neither_for_sale_nor_editable(client, bus):
    ticket, order_id = await offer(client), new_id()
    await reserve(client, bus, ticket["id"], order_id)
    assert (await client.get("/api/tickets")).json() == []
    own = await client.get("/api/tickets", params={"sellerId": SELLER.id}, headers=session(SELLER))
    assert [t["orderId"] for t in own.json()] == [order_id]
    others = await client.get("/api/tickets", params={"sellerId": SELLER.id}, headers=session(new_user()))
    assert others.json() == []
    answer = await client.put(f"/api/tickets/{ticket['id']}", json=TICKET, headers=session(SELLER))
    assert answer.status_code == 400
    assert answer.json() == {"errors": [{"message": "Ticket is reserved and cannot be edited"}]}


async def test_pages_contain_all_tickets_newest_first(client):
    offered = [(await offer(client, title=f"Show {i}"))["id"] for i in range(7)]
    seen, url = [], "/api/tickets?limit=3&q=show"
    while url:
        page = await client.get(url)
        seen += [ticket["id"] for ticket in page.json()]
        assert len(page.json()) <= 3
        url = page.links.get("next", {}).get("url")
        assert url is None or url.startswith("/api/tickets?")
    assert seen == offered[::-1]


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "cursor=nonsense", "cursor=%00"])
async def test_invalid_page_parameter_is_rejected_by_name(client, query):
    answer = await client.get(f"/api/tickets?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == query.partition("=")[0]


async def test_search_matches_whole_words_in_any_case_and_requires_all(client):
    await offer(client, title="The Rolling Stones, Berlin")
    await offer(client, title="Rolling Thunder")

    async def titles(query):
        return [t["title"] for t in (await client.get("/api/tickets", params={"q": query})).json()]

    assert await titles("rolling") == ["Rolling Thunder", "The Rolling Stones, Berlin"]
    assert await titles("ROLLING berlin") == ["The Rolling Stones, Berlin"]
    assert await titles("roll") == []
    assert await titles("rolling stones thunder") == []
    assert len(await titles("")) == 2


async def test_search_finds_the_title_after_an_edit(client):
    ticket = await offer(client, title="Opera")
    edit = {"title": "Ballet", "price": 1}
    await client.put(f"/api/tickets/{ticket['id']}", json=edit, headers=session(SELLER))
    assert (await client.get("/api/tickets?q=opera")).json() == []
    assert len((await client.get("/api/tickets?q=ballet")).json()) == 1
