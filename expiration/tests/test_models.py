"""What an order's events make of its expiry."""

from datetime import UTC, datetime, timedelta

import pytest

from expiration.models import begin, settle

MOMENT = datetime(2030, 1, 1, tzinfo=UTC)


def test_a_new_order_is_to_be_told_of():
    entry = begin("order", MOMENT)
    assert (entry.id, entry.version, entry.expires_at, entry.settled_at) == ("order", 0, MOMENT, None)


@pytest.mark.parametrize(("microseconds", "kept"), [(0, 0), (1, 1000), (1000, 1000), (999_999, 1_000_000)])
def test_what_mongodb_cannot_keep_is_rounded_up_so_that_nothing_is_early(microseconds, kept):
    entry = begin("order", MOMENT + timedelta(microseconds=microseconds))
    assert entry.expires_at == MOMENT + timedelta(microseconds=kept)


def test_a_decided_order_is_settled():
    assert settle(begin("order", MOMENT), MOMENT).settled_at == MOMENT


def test_what_is_settled_stays_as_it_was():
    settled = settle(begin("order", MOMENT), MOMENT)
    assert settle(settled, MOMENT + timedelta(hours=1)) == settled
