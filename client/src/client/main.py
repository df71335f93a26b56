"""The composition root of the web site."""

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from client.config import Settings
from client.error_pages import ErrorPages
from client.gateway import ServiceConnections
from client.routes import router
from client.security import SecurityHeaders
from client.views import redirect_to_sign_in
from ticketing_common.app import Parts, create_app, serve
from ticketing_common.config import load
from ticketing_common.errors import NotSignedIn


def create(settings: Settings) -> FastAPI:
    connections = ServiceConnections(settings)
    app = create_app(
        Parts(
            name="client",
            settings=settings,
            router=router,
            state={"connections": connections},
            # No readiness checks: the site is useful while a service is down.
            close=[connections.close],
        )
    )
    app.add_exception_handler(NotSignedIn, redirect_to_sign_in)
    app.add_middleware(ErrorPages)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(GZipMiddleware, compresslevel=5)  # the outermost
    return app


def main() -> None:
    settings = load(Settings, "client")
    serve(create(settings), settings)


if __name__ == "__main__":
    main()
