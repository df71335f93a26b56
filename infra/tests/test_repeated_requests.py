"""Requests are repeated with their Idempotency-Key after a crash, and take effect once."""

import asyncio
from functools import partial

import pytest
from api_calls import list_ticket, retry_while_unavailable

from ticketing_common.testing import wait_until
from ticketing_common.values.ids import new_id

pytestmark = pytest.mark.asyncio(loop_scope="package")

SERVICES = ("auth", "tickets", "orders")


async def test_requests_repeated_after_a_crash_take_effect_once(long_window_stack):
    """The services are killed while MongoDB is paused, so that the inserts are in progress."""
    stack = long_window_stack
    seller, buyer, new_user = [await stack.sign_up() for _ in range(3)]
    ticket_id = await list_ticket(seller)
    orders = stack.database("orders")
    await wait_until(lambda: orders["tickets"].find_one({"_id": ticket_id}))
    email, title = f"{new_id()}@example.com", f"Row 7 seat 3 {new_id()}"
    requests = [
        (new_user, "/api/users/signup", {"email": email, "password": "correct horse"}),
        (seller, "/api/tickets", {"title": title, "price": 50}),
        (buyer, "/api/orders", {"ticketId": ticket_id}),
    ]

    def send(number):
        user, path, body = requests[number]
        return user.post(path, json=body, headers={"Idempotency-Key": f"key-{number}"})

    stack.processes.pause("mongod")
    interrupted = [asyncio.create_task(send(number)) for number in range(3)]
    await asyncio.sleep(0.5)
    for service in SERVICES:
        await stack.processes.kill(service)
    stack.processes.resume("mongod")
    for response in await asyncio.gather(*interrupted):
        assert response.status_code == 503
    for service in SERVICES:
        await stack.processes.start(service)
    for number in range(3):
        responses = [await retry_while_unavailable(partial(send, number)) for _ in range(2)]
        assert [response.status_code for response in responses] == [201, 201], responses[0].text
        assert responses[0].content == responses[1].content
    assert await stack.database("auth")["accounts"].count_documents({"email": email}) == 1
    assert await stack.database("tickets")["tickets"].count_documents({"title": title}) == 1
    assert await orders["orders"].count_documents({"ticket.id": ticket_id}) == 1
