"""The rules of accounts."""

from datetime import UTC, datetime, timedelta

import pytest

from auth.models import FAILURE_WINDOW, MAX_FAILURES, check_failure_limit, normalize_email
from ticketing_common.values.errors import TooManyAttempts

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("spelling", ["ann@example.com", "  ANN@Example.COM ", "Ann@example.com\n"])
def test_emails_are_compared_trimmed_and_case_folded(spelling):
    assert normalize_email(spelling) == "ann@example.com"


def test_sign_in_is_allowed_below_the_failure_limit():
    check_failure_limit([NOW] * (MAX_FAILURES - 1), NOW)


def test_sign_in_is_rejected_at_the_limit_until_the_oldest_failure_leaves_the_window():
    failures = [NOW + timedelta(minutes=i) for i in range(MAX_FAILURES)]
    with pytest.raises(TooManyAttempts) as rejected:
        check_failure_limit(failures, NOW + timedelta(minutes=10))
    assert rejected.value.retry_after == 5 * 60 + 1
    check_failure_limit(failures, NOW + FAILURE_WINDOW)
