"""The composition root of the auth service."""

from functools import partial

from fastapi import FastAPI

from auth import routes
from auth.config import Settings
from auth.repository import Accounts
from ticketing_common import mongo
from ticketing_common.app import Parts, create_app, serve
from ticketing_common.config import load


def create(settings: Settings) -> FastAPI:
    database = mongo.connect(settings.mongo_uri)
    accounts = Accounts(database)
    return create_app(
        Parts(
            name="auth",
            settings=settings,
            router=routes.router,
            docs=routes.PREFIX,
            state={"accounts": accounts},
            prepare=[accounts.ensure_indexes],
            checks={"mongo": partial(mongo.ping, database)},
        )
    )


def main() -> None:
    settings = load(Settings, "auth")
    serve(create(settings), settings)


if __name__ == "__main__":
    main()
