"""The jobs as they lie in Redis, and as rq sees them."""

from datetime import timedelta

import pytest
from redis import RedisError
from redis_faults import limited, refusing_writes
from rq import Queue
from rq.job import Job

from ticketing_common.values.clock import now

SOON = timedelta(seconds=30)


def test_an_order_has_a_job_of_its_id_at_its_exact_time(schedule):
    moment = now() + SOON
    schedule.add({"order": moment})
    registry = Queue("expiration", connection=schedule.connection).scheduled_job_registry
    assert registry.get_job_ids() == ["order"]
    assert abs(registry.get_scheduled_time("order") - moment) < timedelta(milliseconds=1)
    job = Job.fetch("order", connection=schedule.connection)
    assert job.is_scheduled
    assert job.func_name == "expiration.jobs.expire_due"


def test_adding_a_job_twice_has_it_once(schedule):
    schedule.add({"order": now() + SOON})
    schedule.add({"order": now() + SOON})
    assert schedule.queue.scheduled_job_registry.count == 1


def test_a_job_taken_back_leaves_nothing(schedule):
    schedule.add({"order": now() + SOON})
    schedule.remove(["order"])
    assert schedule.connection.keys("*order*") == []
    assert schedule.without_job(["order"]) == {"order"}


def test_a_job_that_is_released_is_not_taken_back_for_others_wait_for_it(schedule):
    schedule.add({"order": now(), "other": now()})
    schedule.release_due()
    (released,) = schedule.queue.job_ids
    schedule.remove([released])
    assert Job.exists(released, connection=schedule.connection)


def test_which_orders_have_no_job(schedule):
    schedule.add({"a": now() + SOON, "b": now() + SOON})
    assert schedule.without_job(["a", "b", "c"]) == {"c"}
    assert schedule.without_job([]) == set()


def test_nothing_is_released_early(schedule):
    schedule.add({"order": now() + SOON})
    schedule.release_due()
    assert schedule.queue.count == 0
    assert not schedule.without_job(["order"])


def test_of_many_jobs_due_at_once_one_is_run_and_nothing_of_the_others_is_left(schedule):
    ids = [f"order-{n}" for n in range(100)]
    schedule.add(dict.fromkeys(ids, now()))
    schedule.release_due()
    assert schedule.queue.count == 1
    assert schedule.without_job(ids) == set(ids)
    assert len(schedule.connection.keys("rq:job:*")) == 1


def test_a_job_whose_data_redis_evicted_is_run_all_the_same(schedule):
    schedule.add({"order": now()})
    schedule.connection.delete(Job.key_for("order"))
    schedule.release_due()
    assert Job.fetch("order", connection=schedule.connection).is_queued


def test_only_a_redis_that_takes_writes_is_up(schedule):
    schedule.ping()
    with refusing_writes(schedule.connection):
        assert schedule.connection.ping()
        with pytest.raises(RedisError):
            schedule.ping()
    schedule.ping()


def test_a_full_redis_has_room_again_once_what_is_due_is_released(schedule):
    schedule.add(dict.fromkeys([f"order-{n}" for n in range(500)], now()))
    with limited(schedule.connection, schedule.connection.info("memory")["used_memory"] - 50_000):
        with pytest.raises(RedisError):
            schedule.add({"another": now()})
        schedule.release_due()
        schedule.add({"another": now()})
    assert schedule.queue.scheduled_job_registry.get_job_ids() == ["another"]
