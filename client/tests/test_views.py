"""Formatting of values."""

from datetime import timedelta
from decimal import Decimal

import pytest

from client.views import format_age, format_money, sign_in_path
from ticketing_common.values.clock import now


def test_money_has_two_decimals_and_thousands_separators():
    assert [format_money(Decimal(n)) for n in ("0.5", "19.99", "999999.99")] == [
        "$0.50",
        "$19.99",
        "$999,999.99",
    ]


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (timedelta(seconds=-5), "just now"),
        (timedelta(seconds=59), "just now"),
        (timedelta(seconds=61), "1 min ago"),
        (timedelta(minutes=59.5), "59 min ago"),
        (timedelta(hours=23.5), "23 h ago"),
        (timedelta(hours=25), "yesterday"),
        (timedelta(days=6.5), "6 days ago"),
    ],
)
def test_age_is_shown_in_the_largest_unit(age, text):
    assert format_age(now() - age) == text


def test_age_of_more_than_a_week_is_shown_as_a_date():
    assert format_age(now() - timedelta(days=400)).startswith(tuple("123456789"))


def test_sign_in_path_has_the_return_path_unless_it_is_an_account_page():
    assert sign_in_path("/orders/1?a=b&c=d") == "/auth/signin?next=/orders/1%3Fa%3Db%26c%3Dd"
    assert sign_in_path("/auth/signup") == "/auth/signin"
