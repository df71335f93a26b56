"""The composition root of the auth service."""

from fastapi import FastAPI

from auth import routes
from auth.config import Settings
from auth.repository import Accounts
from ticketing_common.service import create_service, run_service
from ticketing_common.storage.mongo import connect


def create(settings: Settings) -> FastAPI:
    database = connect(settings.mongo_uri)
    accounts = Accounts(database)
    return create_service(
        "auth",
        settings,
        database=database,
        router=routes.router,
        state={"accounts": accounts},
        prepare=[accounts.ensure_indexes],
    )


def main() -> None:
    run_service("auth", Settings, create)


if __name__ == "__main__":
    main()
