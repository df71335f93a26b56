"""The jobs in Redis: one for each order, due when the order expires. The job's id is the order's.

rq's scheduler is not used: it rounds times to seconds, checks once a second, and runs in a forked process
that survives a killed worker. The jobs are in rq's data structures nevertheless, so `rq info` shows them.

All methods block for at most two seconds and raise redis.RedisError if Redis is unavailable.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry
from rq import Queue
from rq.job import Job, JobStatus

from expiration.jobs import expire_due

QUEUE = "expiration"

_FAILED_KEPT = 600
"""Seconds that a failed job is kept for inspection."""
_MAX_ENQUEUED = 1_000


class JobQueue:
    def __init__(self, redis_url: str) -> None:
        self.connection: Redis = Redis.from_url(
            redis_url,
            socket_connect_timeout=1,
            socket_timeout=1,
            # One immediate retry replaces a connection that a restart of Redis has closed. Longer outages are
            # left to job_sync, which adds the missing jobs.
            retry=Retry(NoBackoff(), 1, supported_errors=(ConnectionError,)),
        )
        self.queue = Queue(QUEUE, connection=self.connection)
        self._scheduled = self.queue.scheduled_job_registry

    def ping(self) -> None:
        """Raise redis.RedisError unless Redis accepts a write: a full one or a replica still answers PING."""
        self.connection.set("expiration:ping", 1, ex=60)

    def add(self, expiries: Mapping[str, datetime]) -> None:
        """Add a job for each order (id to time of expiry), replacing the job that it may have."""
        with self.connection.pipeline() as pipeline:
            for order_id, expires_at in expiries.items():
                self._create_job(order_id, JobStatus.SCHEDULED).save(pipeline=pipeline)
                pipeline.zadd(self._scheduled.key, {order_id: expires_at.timestamp()})
            pipeline.execute()

    def remove(self, order_ids: Iterable[str]) -> None:
        """Remove the orders' jobs, except enqueued ones: such a job expires every order that is due."""
        candidates = list(order_ids)
        with self.connection.pipeline(transaction=False) as pipeline:
            for order_id in candidates:
                pipeline.zrem(self._scheduled.key, order_id)
            removed = [
                order_id
                for order_id, was_scheduled in zip(candidates, pipeline.execute(), strict=True)
                if was_scheduled
            ]
        if removed:
            self.connection.delete(*map(Job.key_for, removed))

    def find_missing(self, order_ids: Iterable[str]) -> set[str]:
        """Those of the orders that have no job."""
        candidates = list(order_ids)
        scores = self.connection.zmscore(self._scheduled.key, candidates) if candidates else []
        return {order_id for order_id, score in zip(candidates, scores, strict=True) if score is None}

    def enqueue_due(self) -> None:
        """Remove the jobs that are due, and enqueue one of them for the worker.

        One is enough, because a job expires all orders that are due. So thousands can expire in one second.
        """
        due = self._scheduled.get_jobs_to_schedule(
            time.time(),  # rq passes it on unchanged, although it documents whole seconds
            _MAX_ENQUEUED,
        )
        if not due:
            return
        # Removed first, because a full Redis accepts that and has room again. If Redis then rejects the job,
        # or this process is killed in between, the worker publishes from the ledger.
        with self.connection.pipeline() as pipeline:
            pipeline.zrem(self._scheduled.key, *due)
            pipeline.delete(*map(Job.key_for, due))
            pipeline.execute()
        self.queue.enqueue_job(self._create_job(due[0]))

    def _create_job(self, order_id: str, status: JobStatus = JobStatus.QUEUED) -> Job:
        return self.queue.create_job(
            expire_due,
            job_id=order_id,
            status=status,
            timeout=-1,  # none: each wait within the job has a time-out
            result_ttl=0,
            failure_ttl=_FAILED_KEPT,
        )
