"""The composition root of the payments service."""

from functools import partial

from fastapi import FastAPI

from payments import routes, settlement
from payments.config import Settings
from payments.handlers import HANDLERS
from payments.repository import Payments
from payments.stripe_api import StripeApi
from ticketing_common.messaging.arrivals import Arrivals
from ticketing_common.messaging.bus import Bus
from ticketing_common.service import create_service, run_service
from ticketing_common.storage.mongo import connect
from ticketing_common.storage.outbox import Outbox


def create(settings: Settings) -> FastAPI:
    database = connect(settings.mongo_uri)
    bus = Bus.from_settings(settings, "payments")
    outbox = Outbox()
    arrivals = Arrivals(bus)
    payments = Payments(database, outbox, arrivals)
    stripe = StripeApi(settings.stripe_key, settings.stripe_api_base)
    # Connections of its own, so that settlements that hang take none from the buyers' calls.
    settling = StripeApi(settings.stripe_key, settings.stripe_api_base)
    return create_service(
        "payments",
        settings,
        database=database,
        bus=bus,
        outbox=outbox,
        consumes=(HANDLERS, payments),
        router=routes.router,
        state={"payments": payments, "stripe": stripe},
        prepare=[payments.ensure_indexes, payments.open_all],
        jobs=[arrivals.run, partial(settlement.run, payments, settling)],
        close=[stripe.close, settling.close],
    )


def main() -> None:
    run_service("payments", Settings, create)


if __name__ == "__main__":
    main()
