"""Bringing Redis back in line with the ledger."""

from datetime import timedelta

import pytest
from prometheus_client import REGISTRY

from expiration.models import begin
from expiration.reconcile import measure_overdue, reschedule
from ticketing_common.values.clock import now


@pytest.fixture
def write(ledger):
    """Put orders that expire in so many seconds into the ledger alone."""

    async def write(*seconds_to_go):
        for seconds in seconds_to_go:
            entry = begin(f"order-{seconds}", now() + timedelta(seconds=seconds))
            await ledger.follow(entry.id, 0, lambda _, entry=entry: entry)

    return write


async def test_what_redis_lost_has_its_job_again(write, ledger, schedule):
    await write(10, 20)
    await reschedule(ledger, schedule)
    assert schedule.queue.scheduled_job_registry.get_job_ids() == ["order-10", "order-20"]


async def test_what_has_a_job_keeps_it(write, ledger, schedule):
    await write(10)
    elsewhen = now() + timedelta(hours=1)
    schedule.add({"order-10": elsewhen})
    await reschedule(ledger, schedule)
    found = schedule.queue.scheduled_job_registry.get_scheduled_time("order-10")
    assert abs(found - elsewhen) < timedelta(milliseconds=1)


async def test_a_decided_order_has_no_job_again(write, ledger, schedule):
    await write(10)
    await ledger.mark_told(["order-10"], now())
    await reschedule(ledger, schedule)
    assert schedule.queue.scheduled_job_registry.count == 0


async def test_by_how_much_the_oldest_expiry_is_late_is_measured(write, ledger):
    await write(-3, -2, 10)
    await measure_overdue(ledger)
    assert 3 <= REGISTRY.get_sample_value("ticketing_expiration_overdue_seconds") < 5
    await ledger.mark_told(["order--3", "order--2"], now())
    await measure_overdue(ledger)
    assert REGISTRY.get_sample_value("ticketing_expiration_overdue_seconds") == 0
