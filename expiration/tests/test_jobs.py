"""What a job publishes, and what it measures."""

import threading
from datetime import timedelta

from prometheus_client import REGISTRY

from expiration.jobs import publish_due
from expiration.models import begin
from ticketing_common.clock import now
from ticketing_common.events import ExpirationComplete
from ticketing_common.testing import published


async def test_each_order_is_told_of_once_and_its_lateness_measured(ledger, bus):
    for seconds in (3, 10):
        entry = begin(f"order-{seconds}", now() - timedelta(seconds=seconds))
        await ledger.follow(entry.id, 0, lambda _, entry=entry: entry)
    before = [_late(bound) for bound in ("2.5", "5.0", "15.0")]
    await publish_due(ledger, bus, threading.Event())
    await publish_due(ledger, bus, threading.Event())
    assert {e.order_id for e in await published(bus, ExpirationComplete)} == {"order-3", "order-10"}
    told = [_late(bound) - b for bound, b in zip(("2.5", "5.0", "15.0"), before, strict=True)]
    assert told == [0, 1, 2]


def _late(bound):
    return REGISTRY.get_sample_value("ticketing_expiration_late_seconds_bucket", {"le": bound})
