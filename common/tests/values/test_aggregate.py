"""Versions: which event applies to a copy, which one is a duplicate, which one is early."""

import pytest

from ticketing_common.values.aggregate import EarlierEventMissing, is_next_version


@pytest.mark.parametrize(
    ("event_version", "copy_version", "is_next"),
    [(0, -1, True), (1, 0, True), (0, 0, False), (1, 5, False)],
)
def test_next_version_applies_and_an_older_one_is_a_duplicate(event_version, copy_version, is_next):
    assert is_next_version(event_version, copy_version) is is_next


def test_version_after_a_gap_raises_an_error():
    with pytest.raises(EarlierEventMissing):
        is_next_version(2, 0)
