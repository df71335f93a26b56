"""The composition root of the expiration service, which consumes orders and keeps the ledger."""

import asyncio
from functools import partial

from fastapi import FastAPI

from expiration.config import Settings
from expiration.handlers import HANDLERS, Expirations
from expiration.job_changes import JobChanges
from expiration.job_queue import JobQueue
from expiration.job_sync import sync_jobs
from expiration.repository import Ledger
from ticketing_common.messaging.bus import Bus
from ticketing_common.service import create_service, run_service
from ticketing_common.storage.mongo import connect


def create(settings: Settings) -> FastAPI:
    database = connect(settings.mongo_uri)
    ledger = Ledger(database)
    job_queue = JobQueue(settings.redis_url)
    job_changes = JobChanges(job_queue)
    return create_service(
        "expiration",
        settings,
        database=database,
        bus=Bus.from_settings(settings, "expiration"),
        consumes=(HANDLERS, Expirations(ledger, job_changes)),
        prepare=[ledger.ensure_indexes],
        jobs=[partial(sync_jobs, ledger, job_queue, job_changes)],
        checks={"redis": partial(asyncio.to_thread, job_queue.ping)},
    )


def main() -> None:
    run_service("expiration", Settings, create)


if __name__ == "__main__":
    main()
