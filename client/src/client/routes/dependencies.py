"""The FastAPI dependency through which routes call the services."""

from typing import Annotated

from fastapi import Depends, Request

from client.gateway import Gateway
from ticketing_common.http.sessions import COOKIE, OptionalUser


async def _gateway(request: Request, user: OptionalUser) -> Gateway:
    return Gateway(request.app.state.connections, user, request.cookies.get(COOKIE))


GatewayDep = Annotated[Gateway, Depends(_gateway)]
