"""The routes that matter: the requests that measure each of them, and those that measure its floors."""

import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from ticketing_bench import documents
from ticketing_bench.documents import Templates
from ticketing_bench.load import request
from ticketing_bench.market import Market

CONNECTIONS = 24
EMAIL, PASSWORD = "bench@example.com", "correct horse"
_ENOUGH = 2_500
"""Tickets for a second of ordering, or of listing."""


@dataclass(frozen=True)
class Setting:
    """What the requests are about."""

    templates: Templates
    for_sale: list[str]
    """Tickets that are there to be looked at."""
    seconds: float
    """How long a round is."""


Requests = Callable[[Market, Setting], Awaitable[list[bytes]]]


@dataclass(frozen=True)
class Route:
    name: str
    service: str
    requests: Requests
    floors: dict[str, Requests] = field(default_factory=dict)
    """By what they do; the first is the one that a target speaks of."""
    status: int = 200
    once: bool = False
    """Each request is good for one time."""
    connections: int = CONNECTIONS


async def _page(_: Market, __: Setting) -> list[bytes]:
    return [request("GET", "/api/tickets")]


async def _page_floor(_: Market, __: Setting) -> list[bytes]:
    return [request("GET", "/page")]


async def _page_by_fastapi(_: Market, __: Setting) -> list[bytes]:
    return [request("GET", "/fastapi/page")]


async def _one(_: Market, setting: Setting) -> list[bytes]:
    return [request("GET", f"/api/tickets/{each}") for each in _some(setting)]


async def _one_floor(_: Market, setting: Setting) -> list[bytes]:
    return [request("GET", f"/one/{each}") for each in _some(setting)]


async def _one_by_fastapi(_: Market, setting: Setting) -> list[bytes]:
    return [request("GET", f"/fastapi/one/{each}") for each in _some(setting)]


async def _list(market: Market, setting: Setting) -> list[bytes]:
    _, session = market.session()
    return [request("POST", "/api/tickets", session=session, body=each) for each in _offers(setting)]


async def _list_floor(_: Market, setting: Setting) -> list[bytes]:
    return [request("POST", "/list", body=each) for each in _offers(setting)]


async def _order(market: Market, setting: Setting) -> list[bytes]:
    _, session = market.session()
    bodies = await _fresh(market, setting)
    return [request("POST", "/api/orders", session=session, body=each) for each in bodies]


async def _order_floor(market: Market, setting: Setting) -> list[bytes]:
    return [request("POST", "/order", body=each) for each in await _fresh(market, setting)]


async def _order_with_price_floor(market: Market, setting: Setting) -> list[bytes]:
    return [request("POST", "/order-with-price", body=each) for each in await _fresh(market, setting)]


async def _front_page(_: Market, __: Setting) -> list[bytes]:
    return [request("GET", "/")]


async def _sign_in(_: Market, __: Setting) -> list[bytes]:
    return [request("POST", "/api/users/signin", body=_json(email=EMAIL, password=PASSWORD))]


async def _sign_in_floor(_: Market, __: Setting) -> list[bytes]:
    return [request("POST", "/signin", body=_json(email=EMAIL, password=PASSWORD))]


PAGE = Route("page of 50", "tickets", _page, {"find": _page_floor, "find, by FastAPI": _page_by_fastapi})
ONE = Route("one ticket", "tickets", _one, {"find_one": _one_floor, "find_one, by FastAPI": _one_by_fastapi})
LIST = Route("list", "tickets", _list, {"insert_one": _list_floor}, status=201, once=True)
ORDER = Route(
    "order",
    "orders",
    _order,
    {"insert_one": _order_floor, "find_one, insert_one": _order_with_price_floor},
    status=201,
    once=True,
)
SIGN_IN = Route("sign in", "auth", _sign_in, {"find_one, verify": _sign_in_floor}, connections=4, status=201)
ROUTES = [PAGE, ONE, LIST, ORDER, SIGN_IN]
THROUGH_THE_INGRESS = Route("one ticket, through the ingress", "ingress", _one)
SITE = Route("the site's front page", "client", _front_page, connections=4)
GROWING = [PAGE, ONE, LIST, ORDER]
"""Those whose cost may depend on how much is kept."""


def _some(setting: Setting) -> list[str]:
    """Different tickets, in no order: not what the store has just had in its hands."""
    return random.sample(setting.for_sale, min(len(setting.for_sale), 20_000))


def _offers(setting: Setting) -> list[bytes]:
    count = int(_ENOUGH * setting.seconds)
    return [_json(title=f"Offer {n} stalls row {n % 40}", price=20 + n % 50 / 4) for n in range(count)]


async def _fresh(market: Market, setting: Setting) -> list[bytes]:
    """Orders of tickets that nobody has ordered."""
    count = int(_ENOUGH * setting.seconds)
    ids = await documents.add_for_sale(market, setting.templates, count)
    return [_json(ticketId=each) for each in ids]


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()
