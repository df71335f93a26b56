"""The pure rules of accounts."""

from datetime import UTC, datetime, timedelta

import pytest

from auth.models import MAX_FAILURES, WINDOW, canonical, refuse_too_many_tries
from ticketing_common.errors import TooManyTries

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("spelling", ["ann@example.com", "  ANN@Example.COM ", "Ann@example.com\n"])
def test_spellings_of_one_address_are_equal(spelling):
    assert canonical(spelling) == "ann@example.com"


def test_fewer_failures_than_the_limit_are_forgiven():
    refuse_too_many_tries([NOW] * (MAX_FAILURES - 1), NOW)


def test_at_the_limit_one_waits_until_the_oldest_failure_is_out_of_the_window():
    failures = [NOW + timedelta(minutes=i) for i in range(MAX_FAILURES)]
    with pytest.raises(TooManyTries) as refused:
        refuse_too_many_tries(failures, NOW + timedelta(minutes=10))
    assert refused.value.retry_after == 5 * 60 + 1
    refuse_too_many_tries(failures, NOW + WINDOW)
