"""Who is there: the market as this visitor may use it, a dependency of every page."""

from typing import Annotated

from fastapi import Depends, Request
from starlette.responses import RedirectResponse, Response

from client.market import Market
from client.views import sign_in_path, this_page
from ticketing_common.auth import COOKIE, OptionalUser


async def _market(request: Request, user: OptionalUser) -> Market:
    return Market(request.app.state.services, user, request.cookies.get(COOKIE))


MarketDep = Annotated[Market, Depends(_market)]


async def to_sign_in(request: Request, _: Exception) -> Response:
    """Not signed in, or not any more: sign in, and come back."""
    return see_other(sign_in_path(this_page(request)))


def see_other(path: str) -> RedirectResponse:
    """After a form: the browser asks for the page anew, and a reload sends nothing twice."""
    return RedirectResponse(path, 303)
