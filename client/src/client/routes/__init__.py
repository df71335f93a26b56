"""The pages, one module for each part of the site."""

from fastapi import APIRouter
from fastapi.routing import APIRoute

from client.routes import account, orders, sales, static, tickets

router = APIRouter(include_in_schema=False)
for pages in (account, tickets, orders, sales, static):
    for route in pages.router.routes:
        if isinstance(route, APIRoute) and route.methods == {"GET"}:
            route.methods.add("HEAD")  # as every web site answers it: monitors and link previews ask so
    router.routes.extend(pages.router.routes)
