"""A short hunt finds nothing, and the same hunt with a guard off finds something."""

import pytest

from ticketing_chaos.command import CONTROL_SECONDS, figures
from ticketing_chaos.guards import GUARDS
from ticketing_chaos.hunt import hunt
from ticketing_chaos.story import shortest

SEED = 20261125


async def test_a_crowd_and_a_saboteur_break_no_promise(tmp_path):
    verdict = await hunt(tmp_path, 15, SEED, print)
    print(figures(verdict))
    assert not verdict.found, "\n".join(shortest(verdict.evidence, verdict.found))
    assert len(verdict.evidence.orders) > 20


@pytest.mark.parametrize(
    ("guard", "promise"),
    [
        ("keys", "one form, one thing"),
        ("filter", "every service ends in agreement"),
    ],
)
async def test_without_its_guard_a_promise_is_seen_to_be_broken(tmp_path, guard, promise):
    """The control: it shows that the test above can fail."""
    verdict = await hunt(tmp_path, CONTROL_SECONDS, SEED, print, guard)
    assert promise in {violation.promise for violation in verdict.found}, GUARDS[guard].what
