"""The jobs in Redis, as rq sees them."""

from datetime import timedelta

import pytest
from redis import RedisError
from redis_faults import limited, refusing_writes
from rq import Queue
from rq.job import Job

from ticketing_common.values.clock import now

SOON = timedelta(seconds=30)


def test_job_has_the_id_and_exact_time_of_its_order(job_queue):
    moment = now() + SOON
    job_queue.add({"order": moment})
    registry = Queue("expiration", connection=job_queue.connection).scheduled_job_registry
    assert registry.get_job_ids() == ["order"]
    assert abs(registry.get_scheduled_time("order") - moment) < timedelta(milliseconds=1)
    job = Job.fetch("order", connection=job_queue.connection)
    assert job.is_scheduled
    assert job.func_name == "expiration.jobs.expire_due"


def test_adding_a_job_twice_adds_one_job(job_queue):
    job_queue.add({"order": now() + SOON})
    job_queue.add({"order": now() + SOON})
    assert job_queue.queue.scheduled_job_registry.count == 1


def test_removed_job_leaves_nothing_in_redis(job_queue):
    job_queue.add({"order": now() + SOON})
    job_queue.remove(["order"])
    assert job_queue.connection.keys("*order*") == []
    assert job_queue.find_missing(["order"]) == {"order"}


def test_enqueued_job_is_not_removed_because_it_stands_for_other_orders(job_queue):
    job_queue.add({"order": now(), "other": now()})
    job_queue.enqueue_due()
    (enqueued,) = job_queue.queue.job_ids
    job_queue.remove([enqueued])
    assert Job.exists(enqueued, connection=job_queue.connection)


def test_orders_without_a_job_are_found(job_queue):
    job_queue.add({"a": now() + SOON, "b": now() + SOON})
    assert job_queue.find_missing(["a", "b", "c"]) == {"c"}
    assert job_queue.find_missing([]) == set()


def test_no_job_is_enqueued_early(job_queue):
    job_queue.add({"order": now() + SOON})
    job_queue.enqueue_due()
    assert job_queue.queue.count == 0
    assert not job_queue.find_missing(["order"])


def test_one_of_many_due_jobs_is_enqueued_and_the_others_are_removed(job_queue):
    ids = [f"order-{n}" for n in range(100)]
    job_queue.add(dict.fromkeys(ids, now()))
    job_queue.enqueue_due()
    assert job_queue.queue.count == 1
    assert job_queue.find_missing(ids) == set(ids)
    assert len(job_queue.connection.keys("rq:job:*")) == 1


def test_job_is_enqueued_although_redis_evicted_its_data(job_queue):
    job_queue.add({"order": now()})
    job_queue.connection.delete(Job.key_for("order"))
    job_queue.enqueue_due()
    assert Job.fetch("order", connection=job_queue.connection).is_queued


def test_ping_fails_while_redis_rejects_writes(job_queue):
    job_queue.ping()
    with refusing_writes(job_queue.connection):
        assert job_queue.connection.ping()
        with pytest.raises(RedisError):
            job_queue.ping()
    job_queue.ping()


def test_enqueueing_due_jobs_makes_room_in_a_full_redis(job_queue):
    job_queue.add(dict.fromkeys([f"order-{n}" for n in range(500)], now()))
    with limited(job_queue.connection, job_queue.connection.info("memory")["used_memory"] - 50_000):
        with pytest.raises(RedisError):
            job_queue.add({"another": now()})
        job_queue.enqueue_due()
        job_queue.add({"another": now()})
    assert job_queue.queue.scheduled_job_registry.get_job_ids() == ["another"]
