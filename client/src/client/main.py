"""The composition root of the web site."""

from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware

from client.config import Settings
from client.error_pages import ErrorPages
from client.market import Services
from client.routes import router
from client.security import SafeHeaders
from client.visitor import to_sign_in
from ticketing_common.app import Parts, create_app, serve
from ticketing_common.config import load
from ticketing_common.errors import NotSignedIn


def create(settings: Settings) -> FastAPI:
    services = Services(settings)
    app = create_app(
        Parts(
            name="client",
            settings=settings,
            router=router,
            state={"services": services},
            # No checks: while a service is down the rest of the site is of use.
            close=[services.close],
        )
    )
    app.add_exception_handler(NotSignedIn, to_sign_in)
    app.add_middleware(ErrorPages)
    app.add_middleware(SafeHeaders)
    app.add_middleware(GZipMiddleware, compresslevel=5)  # the outermost
    return app


def main() -> None:
    settings = load(Settings, "client")
    serve(create(settings), settings)


if __name__ == "__main__":
    main()
