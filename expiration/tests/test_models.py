"""The rules of an order's expiry."""

from datetime import UTC, datetime, timedelta

import pytest

from expiration.models import create_entry, resolve

MOMENT = datetime(2030, 1, 1, tzinfo=UTC)


def test_entry_of_a_new_order_is_pending():
    entry = create_entry("order", MOMENT)
    assert (entry.id, entry.version, entry.expires_at, entry.resolved_at) == ("order", 0, MOMENT, None)


@pytest.mark.parametrize(("microseconds", "rounded"), [(0, 0), (1, 1000), (1000, 1000), (999_999, 1_000_000)])
def test_time_of_expiry_is_rounded_up_to_milliseconds(microseconds, rounded):
    entry = create_entry("order", MOMENT + timedelta(microseconds=microseconds))
    assert entry.expires_at == MOMENT + timedelta(microseconds=rounded)


def test_entry_of_a_decided_order_is_resolved():
    assert resolve(create_entry("order", MOMENT), MOMENT).resolved_at == MOMENT


def test_resolved_entry_stays_unchanged():
    resolved = resolve(create_entry("order", MOMENT), MOMENT)
    assert resolve(resolved, MOMENT + timedelta(hours=1)) == resolved
