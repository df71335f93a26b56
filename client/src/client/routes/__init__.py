"""The pages, one module for each part of the site."""

from fastapi import APIRouter
from fastapi.routing import APIRoute

from client.routes import account, orders, sales, static, tickets

router = APIRouter(include_in_schema=False)
for module in (account, tickets, orders, sales, static):
    for route in module.router.routes:
        if isinstance(route, APIRoute) and route.methods == {"GET"}:
            route.methods.add("HEAD")  # sent by monitors and link previews
    router.routes.extend(module.router.routes)
