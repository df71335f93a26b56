"""The composition root of the worker, a process beside the expiration service: it publishes expiries.

The main thread runs the event loop: the connections to NATS and MongoDB that all jobs share, /healthz,
/readyz and /metrics, and the check of the ledger. RQ, which blocks, runs in a second thread.
"""

import asyncio
import logging
import threading
from functools import partial

from fastapi import FastAPI

from expiration.config import Settings
from expiration.job_queue import JobQueue
from expiration.jobs import WORKER_CONTEXT, Publisher, WorkerContext
from expiration.repository import Ledger
from expiration.rq_worker import run_jobs
from ticketing_common.messaging.bus import Bus
from ticketing_common.service import create_service, run_service
from ticketing_common.storage.mongo import connect


def create(settings: Settings) -> FastAPI:
    bus = Bus.from_settings(settings, "expiration-worker")
    database = connect(settings.mongo_uri)
    job_queue = JobQueue(settings.redis_url)
    publisher = Publisher(Ledger(database), bus)
    return create_service(
        "expiration-worker",
        settings,
        database=database,
        bus=bus,
        jobs=[partial(_run_jobs_in_thread, publisher, bus, job_queue), publisher.publish_overdue],
        checks={"redis": partial(asyncio.to_thread, job_queue.ping)},
    )


async def _run_jobs_in_thread(
    publisher: Publisher, bus: Bus, job_queue: JobQueue, stopping: asyncio.Event
) -> None:
    """Run jobs until `stopping` is set; a batch that has started is finished."""
    thread_stopping = threading.Event()
    WORKER_CONTEXT.set(WorkerContext(asyncio.get_running_loop(), publisher, thread_stopping))
    connecting = asyncio.create_task(bus.connect())
    running = asyncio.create_task(asyncio.to_thread(run_jobs, job_queue, thread_stopping))
    await stopping.wait()
    thread_stopping.set()
    await running
    connecting.cancel()


def main() -> None:
    logging.getLogger("rq").setLevel(logging.WARNING)  # at INFO it logs one or two lines per job
    logging.getLogger("rq.worker").setLevel(logging.WARNING)
    run_service("expiration worker", Settings, create)


if __name__ == "__main__":
    main()
