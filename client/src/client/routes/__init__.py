"""The pages, one module for each part of the site."""

from fastapi import APIRouter

from client.routes import account, orders, sales, static, tickets

router = APIRouter(include_in_schema=False)
for pages in (account, tickets, orders, sales, static):
    router.include_router(pages.router)
