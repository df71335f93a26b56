"""Listing a ticket with an Idempotency-Key: repeated, it is listed once."""

import asyncio
import json
import signal

import pytest

from ticketing_common.testing import new_user, published, serve_app, session, wait_until
from ticketing_common.testing.servers import free_port, freeze, mongod, running
from ticketing_common.values.events import TicketCreated
from tickets.main import create

SELLER = new_user()
TICKET = {"title": "Row 7 seat 3", "price": 50}
REUSED = {
    "errors": [
        {
            "message": "This Idempotency-Key was already used with another body",
            "code": "idempotency_key_reused",
        }
    ]
}


async def offer(client, key, body=TICKET, user=SELLER, **options):
    headers = session(user) | {"idempotency-key": key}
    return await client.post("/api/tickets", json=body, headers=headers, **options)


async def listings(client):
    return (await client.get("/api/tickets")).json()


async def test_repeated_listing_returns_the_first_answer_and_lists_once(client, bus):
    first = await offer(client, "one")
    again = await offer(client, "one")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["content-type"] == "application/json"
    assert await listings(client) == [first.json()]
    assert len(await wait_until(lambda: published(bus, TicketCreated))) == 1


async def test_repetition_returns_the_first_answer_after_the_ticket_changed(client):
    first = await offer(client, "one")
    url = f"/api/tickets/{first.json()['id']}"
    assert (await client.put(url, json=TICKET | {"price": 60}, headers=session(SELLER))).status_code == 200
    assert (await offer(client, "one")).content == first.content
    assert (await client.get(url)).json()["price"] == 60


async def test_concurrent_listings_with_one_key_create_one_ticket(client):
    for number in range(20):
        answers = await asyncio.gather(offer(client, f"key-{number}"), offer(client, f"key-{number}"))
        assert [answer.status_code for answer in answers] == [201, 201]
        assert answers[0].content == answers[1].content
    assert len(await listings(client)) == 20


async def test_without_the_unique_index_concurrent_listings_create_several_tickets(client, database):
    """Negative control: if this fails, the test above proves nothing."""
    await database["tickets"].drop_index("idempotency_key")
    await asyncio.gather(*(offer(client, "one") for _ in range(20)))
    assert len(await listings(client)) > 1


async def test_listing_repeated_at_another_replica_after_a_mongodb_outage_lists_once(settings, bus, tmp_path):
    server = mongod(free_port(), tmp_path)
    settings = settings.model_copy(update={"mongo_uri": f"{server.url}/tickets"})
    with running(server) as process:
        async with serve_app(create(settings)) as first, serve_app(create(settings)) as second:
            assert (await offer(first, "warm", user=new_user())).status_code == 201
            freeze(process)
            failed = await offer(first, "one", timeout=20)
            assert failed.status_code == 503
            process.send_signal(signal.SIGCONT)

            async def repeated():
                answer = await offer(second, "one", timeout=20)
                return answer.status_code != 503 and answer

            answer = await wait_until(repeated, 20)
            assert answer.status_code == 201
            again = await offer(first, "one", timeout=20)
            assert again.content == answer.content
            found = [ticket["id"] for ticket in await listings(first) if ticket["title"] == TICKET["title"]]
            assert found.count(answer.json()["id"]) == 1
            assert len(found) == 2  # the warm one and this one


async def test_key_with_another_body_is_rejected_and_lists_nothing(client):
    first = await offer(client, "one")
    for body in (TICKET | {"price": 51}, TICKET | {"title": "Row 7 seat 4"}, TICKET | {"note": 1}):
        answer = await offer(client, "one", body)
        assert (answer.status_code, answer.json()) == (400, REUSED)
    assert await listings(client) == [first.json()]


@pytest.mark.parametrize(
    "same",
    [
        '{"price":50,"title":"Row 7 seat 3"}',
        '{\n "title": "Row 7 seat 3",\t"price": 50.0}',
        '{"title": "Row 7 \\u0073eat 3", "price": 5e1}',
    ],
)
async def test_body_is_compared_as_a_json_value(client, same):
    first = await offer(client, "one")
    headers = session(SELLER) | {"idempotency-key": "one", "content-type": "application/json"}
    again = await client.post("/api/tickets", content=same, headers=headers)
    assert (again.status_code, again.content) == (201, first.content)


async def test_true_and_one_are_different_json_values(client):
    await offer(client, "one", TICKET | {"note": 1})
    assert (await offer(client, "one", TICKET | {"note": True})).status_code == 400


async def test_key_belongs_to_its_user(client):
    first = await offer(client, "one")
    other = await offer(client, "one", TICKET | {"title": "Another"}, user=new_user())
    assert other.status_code == 201
    assert other.json()["id"] != first.json()["id"]


async def test_rejected_request_does_not_use_up_its_key(client):
    assert (await offer(client, "one", TICKET | {"price": 0})).status_code == 400
    assert (await offer(client, "one")).status_code == 201


@pytest.mark.parametrize("key", ["", "a" * 65, "two words", "caf\u00e9".encode("latin-1"), "tab\there"])
async def test_malformed_key_is_rejected_and_lists_nothing(client, key):
    answer = await offer(client, key)
    assert answer.status_code == 400
    (error,) = answer.json()["errors"]
    assert error["message"] == "Idempotency-Key must be 1 to 64 visible ASCII characters"
    assert await listings(client) == []


async def test_two_keys_are_rejected_and_list_nothing(client):
    headers = [*session(SELLER).items(), ("idempotency-key", "one"), ("idempotency-key", "two")]
    assert (await client.post("/api/tickets", json=TICKET, headers=headers)).status_code == 400
    assert await listings(client) == []


@pytest.mark.parametrize("key", ["a", "!~" * 32, 'quoted"and,\\odd'])
async def test_any_visible_ascii_characters_are_a_valid_key(client, key):
    assert (await offer(client, key)).content == (await offer(client, key)).content


@pytest.mark.parametrize("key", ["one", "two words"])
async def test_session_is_checked_before_the_key(client, key):
    answer = await client.post("/api/tickets", json=TICKET, headers={"idempotency-key": key})
    assert answer.status_code == 401


async def test_deeply_nested_body_with_a_key_is_answered(client):
    # From some depth on the key's digest fails, a little below that at which the body cannot be parsed.
    for depth in (100, *range(900, 960), 1000):
        body = f'{{"title": "Opera", "price": 5, "extra": {"[" * depth}{"]" * depth}}}'
        headers = session(SELLER) | {"idempotency-key": str(depth), "content-type": "application/json"}
        answer = await client.post("/api/tickets", content=body, headers=headers)
        assert answer.status_code in (201, 400), depth


async def test_listing_without_a_key_is_listed_each_time(client):
    for _ in range(2):
        assert (await client.post("/api/tickets", json=TICKET, headers=session(SELLER))).status_code == 201
    assert len(await listings(client)) == 2


async def test_repetition_is_found_by_an_index(client, database):
    for number in range(20):
        await offer(client, f"key-{number}")
    await database.command("profile", 2)
    await offer(client, "key-7")
    await database.command("profile", 0)
    found = (
        await database["system.profile"].find({"op": "query", "ns": f"{database.name}.tickets"}).to_list(9)
    )
    (query,) = [each for each in found if "request.key" in each["command"]["filter"]]
    assert "IXSCAN" in query["planSummary"]
    assert query["docsExamined"] == 1


async def test_schema_states_the_header(client):
    schema = (await client.get("/api/tickets/openapi.json")).json()
    operation = schema["paths"]["/api/tickets"]["post"]
    (header,) = [each for each in operation["parameters"] if each["in"] == "header"]
    assert (header["name"], header["required"]) == ("Idempotency-Key", False)
    assert "idempotency_key_reused" in operation["responses"]["400"]["description"]
    assert json.dumps(operation["responses"]["400"]["content"]).count("ErrorBody") == 1
