"""A short experiment finds no violation, and the same one without a guard finds some."""

import pytest

from ticketing_chaos.command import CONTROL_SECONDS, summarize
from ticketing_chaos.counterexample import describe
from ticketing_chaos.experiment import run_experiment
from ticketing_chaos.guards import GUARDS
from ticketing_chaos.invariants import find_violations

SEED = 20261125


async def test_users_and_faults_violate_no_invariant(tmp_path):
    snapshot = await run_experiment(tmp_path, 15, SEED)
    print(summarize(snapshot))
    violations = [(name, each) for name, found in find_violations(snapshot).items() for each in found]
    assert not violations, "\n".join([violations[0][0], *describe(snapshot, violations[0][1])])
    assert len(snapshot.orders) > 20


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("guard", "invariant"),
    [
        ("keys", "forms take effect once"),
        ("filter", "read models agree"),
    ],
)
async def test_violation_is_found_without_a_guard(tmp_path, guard, invariant):
    snapshot = await run_experiment(tmp_path, CONTROL_SECONDS, SEED, guard)
    assert invariant in find_violations(snapshot), GUARDS[guard].description
