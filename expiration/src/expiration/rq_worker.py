"""Runs RQ's jobs in a thread, without a fork per job.

rq's `Worker.work` is not used: it ends on an error of Redis, and ignores signals while it waits for Redis.
"""

import threading
import time

from redis import RedisError
from rq import Queue, SimpleWorker
from rq.timeouts import TimerDeathPenalty

from expiration.job_queue import JobQueue
from ticketing_common.observability.logs import get_logger

_CHECK_EVERY = 0.05
_RETRY_EVERY = 0.5
_MAINTENANCE_EVERY = 30.0
"""Seconds."""
_WORKER_TTL = 60
"""Seconds without a heartbeat, plus 60, until rq considers a worker dead."""

log = get_logger(__name__)


class _Worker(SimpleWorker):
    death_penalty_class = TimerDeathPenalty  # rq's default needs the main thread


def run_jobs(job_queue: JobQueue, stopping: threading.Event) -> None:
    """Enqueue due jobs and run them until `stopping` is set, also across outages of Redis."""
    is_outage = False
    while not stopping.is_set():
        try:
            # Before the registration: a full Redis accepts the removal of jobs, but nothing new.
            job_queue.enqueue_due()
            worker = _register_worker(job_queue)
            is_outage = False
            _run_until_outage(worker, job_queue, stopping)
        except RedisError as error:
            if not is_outage:
                log.warning("waiting for redis", reason=str(error)[:200])
            is_outage = True
        except Exception:
            log.exception("the rq worker failed, starting another one")
        stopping.wait(_RETRY_EVERY)


def _register_worker(job_queue: JobQueue) -> _Worker:
    worker = _Worker([job_queue.queue], connection=job_queue.connection, worker_ttl=_WORKER_TTL)
    worker.register_birth()  # type: ignore[no-untyped-call]
    log.info("the rq worker is running", worker=worker.name)
    return worker


def _run_until_outage(worker: _Worker, job_queue: JobQueue, stopping: threading.Event) -> None:
    """Raises redis.RedisError."""
    maintenance_at = 0.0
    while not stopping.is_set():
        if time.monotonic() >= maintenance_at:
            worker.heartbeat()
            worker.run_maintenance_tasks()  # type: ignore[no-untyped-call]
            maintenance_at = time.monotonic() + _MAINTENANCE_EVERY
        job_queue.enqueue_due()
        while dequeued := Queue.dequeue_any([job_queue.queue], timeout=None, connection=job_queue.connection):
            worker.execute_job(*dequeued)
        stopping.wait(_CHECK_EVERY)
    worker.register_death()  # type: ignore[no-untyped-call]
