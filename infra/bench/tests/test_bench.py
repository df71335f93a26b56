"""A short run of all benchmarks, so that they keep working; its figures mean nothing."""

import io
import json
import math

import pytest
from rich.console import Console

from ticketing_bench.bench import Scope, run
from ticketing_bench.measure import percentile
from ticketing_bench.results import Target
from ticketing_bench.routes import GROWING, ROUTES

SHORT = Scope(seconds=0.15, sizes=[60, 120], two_workers=True, rounds=1, samples=10)


@pytest.mark.nightly
async def test_short_run_measures_and_shows_every_figure(tmp_path):
    results = await run(SHORT, tmp_path)
    found = json.loads(json.dumps(results.to_json()))
    tables = found["tables"]
    assert tables.keys() == {"starts", "growth", "routes", "workers", "latency"}
    assert all(found.values())
    for route in ROUTES:
        assert tables["routes"][route.name]["per_second"] > 0
        for floor in route.floors:
            figures = tables["routes"][f"{route.name} / {floor}"]
            assert 0 < figures["ratio"] < math.inf
            assert 0 < figures["cpu_ratio"] < math.inf
    assert tables["growth"].keys() == {f"{r.name}, {size} tickets" for r in GROWING for size in (60, 120)}
    assert tables["workers"].keys() == {f"{route.name}, {count}" for route in GROWING for count in (1, 2)}
    counts = {name: figures["count"] for name, figures in tables["latency"].items()}
    assert counts == {"listing to order": 10, "order to lock": 10, "expiry": 5}
    assert tables["latency"]["expiry"]["min_ms"] >= 0
    assert not any(math.isnan(target["value"]) for target in found["targets"])
    shown = io.StringIO()
    results.show(Console(file=shown, width=120))
    for target in found["targets"]:
        assert target["name"] in shown.getvalue()


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (99, 99), (100, 100), (1, 1)])
def test_percentile_is_one_of_the_values(percent, value):
    assert percentile(range(100, 0, -1), percent) == value


def test_target_is_met_at_its_bound():
    assert Target("share", 0.6, ">=", 0.6).is_met
    assert not Target("share", 0.59, ">=", 0.6).is_met
    assert Target("growth", 1.5, "<=", 1.5).is_met
    assert not Target("growth", 1.51, "<=", 1.5).is_met
