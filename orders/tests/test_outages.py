"""Responses of the orders service about an unknown ticket while NATS is down."""

import pytest

from orders.config import Settings
from orders.main import create
from ticketing_common.messaging.bus import open_bus
from ticketing_common.testing import JWT_KEY, new_user, serve_app, session, wait_until
from ticketing_common.testing.events import is_listening
from ticketing_common.testing.servers import free_port, nats_server, running

OLD = "0" * 24


@pytest.mark.parametrize("ticket_id", [OLD, "f" * 24])
async def test_unknown_ticket_of_any_age_is_503_while_nats_is_down(mongo_uri, tmp_path, ticket_id):
    server = nats_server(free_port(), tmp_path)
    settings = Settings(mongo_uri=mongo_uri, nats_url=server.url, jwt_key=JWT_KEY, log_format="console")
    with running(server) as process:
        async with serve_app(create(settings)) as client:
            body, buyer = {"ticketId": ticket_id}, session(new_user())

            async def request():
                return [
                    await client.post("/api/orders", json=body, headers=buyer, timeout=20),
                    await client.get(f"/api/orders/holds/{ticket_id}", timeout=20),
                ]

            async with open_bus(server.url, "test") as bus:
                await wait_until(lambda: is_listening(bus, "orders"))
            assert [answer.status_code for answer in await request()] == [404, 404]
            process.kill()
            process.wait()

            async def are_unavailable():
                answers = await request()
                return [answer.status_code for answer in answers] == [503, 503] and answers

            for answer in await wait_until(are_unavailable):
                assert answer.headers["Retry-After"]
