"""Synchronizing the jobs in Redis with the ledger."""

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from expiration.job_sync import add_missing_jobs, measure_overdue
from expiration.models import create_entry
from ticketing_common.values.clock import now


@pytest.fixture
def write(ledger):
    """Adds entries that expire in so many seconds to the ledger, without jobs."""

    async def write(*seconds_to_go):
        for seconds in seconds_to_go:
            entry = create_entry(f"order-{seconds}", now() + timedelta(seconds=seconds))
            await ledger.apply_change(entry.id, 0, lambda _, entry=entry: entry)

    return write


async def test_missing_job_is_added(write, ledger, job_queue):
    await write(10, 20)
    await add_missing_jobs(ledger, job_queue)
    assert job_queue.queue.scheduled_job_registry.get_job_ids() == ["order-10", "order-20"]


async def test_existing_job_is_not_changed(write, ledger, job_queue):
    await write(10)
    other_time = now() + timedelta(hours=1)
    job_queue.add({"order-10": other_time})
    await add_missing_jobs(ledger, job_queue)
    found = job_queue.queue.scheduled_job_registry.get_scheduled_time("order-10")
    assert abs(found - other_time) < timedelta(milliseconds=1)


async def test_no_job_is_added_for_a_resolved_entry(write, ledger, job_queue):
    await write(10)
    await ledger.mark_published(["order-10"], now())
    await add_missing_jobs(ledger, job_queue)
    assert job_queue.queue.scheduled_job_registry.count == 0


async def test_gauge_is_the_delay_of_the_oldest_unpublished_expiry(write, ledger):
    await write(-3, -2, 10)
    await measure_overdue(ledger)
    overdue = REGISTRY.get_sample_value("ticketing_expiration_overdue_seconds")
    assert overdue is not None
    assert 3 <= overdue < 5
    await ledger.mark_published(["order--3", "order--2"], now())
    await measure_overdue(ledger)
    assert REGISTRY.get_sample_value("ticketing_expiration_overdue_seconds") == 0
