"""A request whose answer a crash lost is sent again with its Idempotency-Key, and takes effect once."""

import asyncio

import pytest
from market import listed, until_accepted

from ticketing_common.testing import wait_until
from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="module")

SERVICES = ("auth", "tickets", "orders")


async def test_requests_cut_off_by_a_crash_and_sent_again_take_effect_once(patient_market):
    """MongoDB is frozen, so the inserts are under way when the services are killed with -9."""
    stack = patient_market.stack
    seller, buyer, stranger = [await patient_market.person() for _ in range(3)]
    ticket_id = await listed(seller)
    orders = patient_market.database("orders")
    await wait_until(lambda: orders["tickets"].find_one({"_id": ticket_id}))
    email, title = f"{new_id()}@example.com", f"Row 7 seat 3 {new_id()}"
    requests = [
        (stranger, "/api/users/signup", {"email": email, "password": "correct horse"}),
        (seller, "/api/tickets", {"title": title, "price": 50}),
        (buyer, "/api/orders", {"ticketId": ticket_id}),
    ]

    def send(number):
        person, path, body = requests[number]
        return person.post(path, json=body, headers={"Idempotency-Key": f"key-{number}"})

    stack.pause("mongod")
    lost = [asyncio.create_task(send(number)) for number in range(3)]
    await asyncio.sleep(0.5)
    for service in SERVICES:
        await stack.kill(service)
    stack.resume("mongod")
    for answer in await asyncio.gather(*lost):
        assert answer.status_code == 503
    for service in SERVICES:
        await stack.start(service)
    for number in range(3):
        answers = [await until_accepted(lambda number=number: send(number)) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [201, 201], answers[0].text
        assert answers[0].content == answers[1].content
    assert await patient_market.database("auth")["accounts"].count_documents({"email": email}) == 1
    assert await patient_market.database("tickets")["tickets"].count_documents({"title": title}) == 1
    assert await orders["orders"].count_documents({"ticket.id": ticket_id}) == 1
