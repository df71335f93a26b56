"""The composition root of the payments service."""

from functools import partial

from fastapi import FastAPI

from payments import routes
from payments.config import Settings
from payments.handlers import HANDLERS
from payments.payment.repository import Payments
from payments.settlement import worker
from payments.stripe.client import StripeApi
from payments.webhooks.repository import ProcessedEvents
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
    processed_events = ProcessedEvents(database)
    stripe = StripeApi(settings.stripe_key, settings.stripe_api_base)
    # With connections of its own, so that settlements that hang do not delay the buyers' requests.
    settlement_stripe = StripeApi(settings.stripe_key, settings.stripe_api_base)
    return create_service(
        "payments",
        settings,
        database=database,
        bus=bus,
        outbox=outbox,
        consumes=(HANDLERS, payments),
        router=routes.router,
        state={"payments": payments, "processed_events": processed_events, "stripe": stripe},
        prepare=[
            payments.ensure_indexes,
            processed_events.ensure_indexes,
            payments.make_all_due,  # the previous process may have died during any settlement
        ],
        jobs=[arrivals.run, partial(worker.run, payments, settlement_stripe)],
        close=[stripe.close, settlement_stripe.close],
    )


def main() -> None:
    run_service("payments", Settings, create)


if __name__ == "__main__":
    main()
