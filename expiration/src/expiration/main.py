"""The composition root of the expiration service, which consumes orders; the worker is a process of its own."""

import asyncio
from functools import partial

from fastapi import FastAPI

from expiration.config import Settings
from expiration.handlers import HANDLERS, Expirations
from expiration.pending import PendingJobs
from expiration.reconcile import reconcile
from expiration.repository import Ledger
from expiration.schedule import Schedule
from ticketing_common.messaging.bus import Bus
from ticketing_common.service import create_service, run_service
from ticketing_common.storage.mongo import connect


def create(settings: Settings) -> FastAPI:
    database = connect(settings.mongo_uri)
    ledger = Ledger(database)
    schedule = Schedule(settings.redis_url)
    jobs = PendingJobs(schedule)
    return create_service(
        "expiration",
        settings,
        database=database,
        bus=Bus.from_settings(settings, "expiration"),
        consumes=(HANDLERS, Expirations(ledger, jobs)),
        prepare=[ledger.ensure_indexes],
        jobs=[partial(reconcile, ledger, schedule, jobs)],
        checks={"redis": partial(asyncio.to_thread, schedule.ping)},
    )


def main() -> None:
    run_service("expiration", Settings, create)


if __name__ == "__main__":
    main()
