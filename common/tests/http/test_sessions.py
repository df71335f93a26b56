"""The session token between services with different clocks."""

from datetime import timedelta

import pytest

from ticketing_common.http.sessions import LIFETIME, decode_token, encode_token
from ticketing_common.testing import JWT_KEY, new_user
from ticketing_common.values.clock import now


@pytest.mark.parametrize(
    ("seconds_ahead", "is_accepted"), [(0.05, True), (0.3, True), (25, True), (40, False), (3600, False)]
)
def test_token_is_accepted_from_a_clock_that_is_up_to_30_s_ahead(seconds_ahead, is_accepted):
    user = new_user()
    token = encode_token(user, [JWT_KEY], at=now() + timedelta(seconds=seconds_ahead))
    assert decode_token(token, [JWT_KEY]) == (user if is_accepted else None)


@pytest.mark.parametrize(("seconds_ago", "is_accepted"), [(-20, True), (0, True), (20, True), (31, False)])
def test_token_is_accepted_until_30_s_after_its_expiry(seconds_ago, is_accepted):
    user = new_user()
    token = encode_token(user, [JWT_KEY], at=now() - LIFETIME - timedelta(seconds=seconds_ago))
    assert decode_token(token, [JWT_KEY]) == (user if is_accepted else None)
