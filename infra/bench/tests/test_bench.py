"""A short run of the whole bench, so that it does not rot; its figures mean nothing."""

import io
import json
import math

import pytest
from rich.console import Console

from ticketing_bench import bench, report
from ticketing_bench.bench import Extent
from ticketing_bench.measure import percentile
from ticketing_bench.results import Results, Verdict
from ticketing_bench.routes import GROWING, ROUTES

SHORT = Extent(seconds=0.15, sizes=[60, 120], two_workers=True, rounds=1, orders=5, expiries=5, starts=1)


async def test_a_short_run_finds_every_figure_and_shows_it(tmp_path):
    results = await bench.run(SHORT, tmp_path, lambda said: None)
    found = json.loads(json.dumps(results.as_json()))
    assert found.keys() > vars(Results()).keys()
    assert {name for name, value in found.items() if not value} == set()
    assert found["routes"].keys() == {route.name for route in ROUTES}
    for route in found["routes"].values():
        assert route["ratios"].keys() == route["floors"].keys()
        assert all(0 < ratio < math.inf for ratio in route["ratios"].values())
    for size in ("60", "120"):
        assert found["growth"][size].keys() == {route.name for route in GROWING}
    for latency in ("event_latency", "listing_latency", "expiry"):
        assert found[latency]["count"] == 5
    assert found["expiry"]["min_ms"] >= 0
    assert all(memory["peak"] > 10 for memory in found["memory"].values())
    assert not any(math.isnan(verdict["found"]) for verdict in found["verdicts"])
    shown = io.StringIO()
    report.show(results, Console(file=shown, width=120))
    for verdict in found["verdicts"]:
        assert verdict["what"] in shown.getvalue()


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_a_percentile_is_a_value_that_was_seen(percent, value):
    assert percentile(range(100, 0, -1), percent) == value


def test_a_target_that_is_just_reached_is_met():
    assert Verdict("share", 0.6, 0.6, at_least=True).met
    assert not Verdict("share", 0.59, 0.6, at_least=True).met
    assert Verdict("memory", 120, 120).met
    assert not Verdict("memory", 120.1, 120).met
