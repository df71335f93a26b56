"""The composition root of the web site."""

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from client.config import Settings
from client.error_pages import ErrorPages
from client.gateway import ServiceConnections
from client.routes import router
from client.security import SecurityHeaders
from client.views import redirect_to_sign_in
from ticketing_common.http.app import create_app
from ticketing_common.service import run_service
from ticketing_common.values.errors import NotSignedIn


def create(settings: Settings) -> FastAPI:
    connections = ServiceConnections(settings)
    # No readiness checks: the site is useful while a service is down.
    app = create_app(
        "client", settings, router=router, state={"connections": connections}, close=[connections.close]
    )
    app.add_exception_handler(NotSignedIn, redirect_to_sign_in)
    app.add_middleware(ErrorPages)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(GZipMiddleware, compresslevel=5)  # the outermost
    return app


def main() -> None:
    run_service("client", Settings, create)


if __name__ == "__main__":
    main()
