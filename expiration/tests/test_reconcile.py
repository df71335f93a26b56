"""Bringing Redis back in line with the ledger."""

from datetime import timedelta

import pytest

from expiration.models import begin
from expiration.reconcile import expire_overdue, reschedule
from ticketing_common.clock import now


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


async def test_an_overdue_expiry_has_one_job_run_now(write, ledger, schedule):
    await write(-1, -2)
    await expire_overdue(ledger, schedule)
    await expire_overdue(ledger, schedule)
    assert schedule.queue.count == 1


async def test_what_is_due_just_now_is_left_to_its_own_job(write, ledger, schedule):
    await write(0, 10)
    await expire_overdue(ledger, schedule)
    assert schedule.queue.count == 0
