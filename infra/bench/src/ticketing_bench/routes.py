"""The measured routes: the requests to each route and to its floors."""

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ticketing_bench.dataset import Dataset
from ticketing_bench.load import request

EMAIL, PASSWORD = "bench@example.com", "correct horse"

Bodies = Callable[[Dataset, int], Awaitable[list[bytes]]]
"""Makes up to so many request bodies."""


async def _credentials(_: Dataset, __: int) -> list[bytes]:
    return [_json(email=EMAIL, password=PASSWORD)]


async def _new_listings(_: Dataset, count: int) -> list[bytes]:
    return [_json(title=f"Offer {n} stalls row {n % 40}", price=20 + n % 50 / 4) for n in range(count)]


async def _new_orders(dataset: Dataset, count: int) -> list[bytes]:
    return [_json(ticketId=each) for each in await dataset.add_for_sale(count)]


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


@dataclass(frozen=True)
class Route:
    name: str
    service: str
    path: str
    """`{id}` stands for the id of a ticket."""
    floors: dict[str, str] = field(default_factory=dict)
    """The path of each floor, by the operations it runs. The target applies to the first."""
    bodies: Bodies | None = None
    """Makes the bodies of a POST; None: the route is a GET."""
    status: int = 200
    once: bool = False
    """Each request can be sent once only."""
    connections: int = 24

    async def requests(self, path: str, dataset: Dataset, count: int) -> list[bytes]:
        """Requests to this route's path or to the path of one of its floors."""
        if self.bodies:
            session = dataset.stack.new_session()
            bodies = await self.bodies(dataset, count)
            return [request("POST", path, session=session, body=body) for body in bodies]
        # In random order, so that the store's cache is not favoured.
        ids = random.sample(dataset.for_sale, min(len(dataset.for_sale), 20_000)) if "{id}" in path else [""]
        return [request("GET", path.format(id=each)) for each in ids]


PAGE = Route(
    "page of 50", "tickets", "/api/tickets", {"find": "/page", "find, with FastAPI": "/fastapi/page"}
)
ONE = Route(
    "one ticket",
    "tickets",
    "/api/tickets/{id}",
    {"find_one": "/one/{id}", "find_one, with FastAPI": "/fastapi/one/{id}"},
)
LIST = Route("list", "tickets", "/api/tickets", {"insert_one": "/list"}, _new_listings, 201, once=True)
ORDER = Route(
    "order",
    "orders",
    "/api/orders",
    {"insert_one": "/order", "find_one, insert_one": "/order-with-price"},
    _new_orders,
    201,
    once=True,
)
SIGN_IN = Route(
    "sign in", "auth", "/api/users/signin", {"find_one, verify": "/signin"}, _credentials, 201, connections=4
)
ROUTES = [PAGE, ONE, LIST, ORDER, SIGN_IN]
GROWING = [PAGE, ONE, LIST, ORDER]
"""The routes whose cost may depend on the number of documents."""
