"""How values are shown."""

from datetime import timedelta
from decimal import Decimal

import pytest

from client.views import ago, money, sign_in_path
from ticketing_common.clock import now


def test_money_has_two_decimals_and_groups():
    assert [money(Decimal(n)) for n in ("0.5", "19.99", "999999.99")] == ["$0.50", "$19.99", "$999,999.99"]


@pytest.mark.parametrize(
    ("passed", "says"),
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
def test_how_long_ago_is_said_in_the_largest_unit(passed, says):
    assert ago(now() - passed) == says


def test_after_a_week_it_is_a_date():
    assert ago(now() - timedelta(days=400)).startswith(tuple("123456789"))


def test_signing_in_leads_back_but_not_to_itself():
    assert sign_in_path("/orders/1?a=b&c=d") == "/auth/signin?next=/orders/1%3Fa%3Db%26c%3Dd"
    assert sign_in_path("/auth/signup") == "/auth/signin"
