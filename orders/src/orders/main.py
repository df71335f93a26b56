"""The composition root of the orders service."""

from fastapi import FastAPI

from orders import routes
from orders.config import Settings
from orders.handlers import HANDLERS
from orders.repository import Orders
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import Bus
from ticketing_common.service import create_service, run_service
from ticketing_common.storage.mongo import connect
from ticketing_common.storage.outbox import Outbox


def create(settings: Settings) -> FastAPI:
    database = connect(settings.mongo_uri)
    bus = Bus.from_settings(settings, "orders")
    outbox = Outbox()
    arrivals = Arrivals(bus)
    orders = Orders(database, outbox, arrivals)
    return create_service(
        "orders",
        settings,
        database=database,
        bus=bus,
        outbox=outbox,
        consumes=(HANDLERS, orders),
        router=routes.router,
        state={"orders": orders},
        prepare=[orders.ensure_indexes],
        jobs=[arrivals.run],
    )


def main() -> None:
    run_service("orders", Settings, create)


if __name__ == "__main__":
    main()
