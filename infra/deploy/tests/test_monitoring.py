"""Alerts and dashboard: each names what is really measured; each alert is explained, and tried out."""

import json
import re
import shutil
import subprocess
import sys
from functools import cache

import promql_parser
import pytest
import yaml
from cluster import NAME, PROGRAMS, kustomize, selected, workloads

from ticketing_deploy.images import ROOT

FOLDER = ROOT / "infra" / "monitoring"
SPEC = yaml.safe_load((FOLDER / "rules.yaml").read_text())["spec"]
ALERTS = [rule for group in SPEC["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
TESTS = yaml.safe_load((FOLDER / "rules.test.yaml").read_text())["tests"]

TARGET = {"job", "namespace", "pod", "container", "instance", "service"}
"""The labels that the scrape adds to every series of ours."""

FOREIGN = {
    "up": TARGET,  # Prometheus itself
    "ALERTS": {"alertname", "alertstate", "severity"},  # Prometheus itself
    # kube-state-metrics:
    "kube_cronjob_created": {"namespace", "cronjob"},
    "kube_cronjob_status_active": {"namespace", "cronjob"},
    "kube_cronjob_status_last_schedule_time": {"namespace", "cronjob"},
    "kube_cronjob_status_last_successful_time": {"namespace", "cronjob"},
    "kube_statefulset_replicas": {"namespace", "statefulset"},
    "kube_statefulset_status_replicas_ready": {"namespace", "statefulset"},
    # the kubelet:
    "kubelet_volume_stats_available_bytes": {"namespace", "persistentvolumeclaim"},
    "kubelet_volume_stats_capacity_bytes": {"namespace", "persistentvolumeclaim"},
}
"""What others export, with the labels of it."""

_EXPOSE = """
import importlib, json
from prometheus_client import REGISTRY
for name in ("auth", "tickets", "orders", "payments", "expiration", "client"):
    importlib.import_module(f"{name}.main")
importlib.import_module("expiration.worker")
found = {}
for collector in {id(c): c for c in REGISTRY._names_to_collectors.values()}.values():
    labels = list(getattr(collector, "_labelnames", ()))
    for family in collector.collect():
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        found |= {family.name + end: labels + ["le"] * (end == "_bucket") for end in ends}
print(json.dumps(found))
"""


@cache
def exposed() -> dict[str, set[str]]:
    """Every series that the programs of ours expose, with its labels: what importing them registers."""
    made = subprocess.run([sys.executable, "-P", "-c", _EXPOSE], capture_output=True, text=True, check=True)
    return {name: set(labels) | TARGET for name, labels in json.loads(made.stdout).items()}


@cache
def known() -> dict[str, set[str]]:
    return exposed() | FOREIGN


def plain(expression: str) -> str:
    """With a value in place of each of Grafana's variables."""
    for variable, value in {"$__rate_interval": "5m", "$__range": "3h", "$service": ".*"}.items():
        expression = expression.replace(variable, value)
    return expression


def walked(expression: str) -> list[promql_parser.Expr]:
    found: list[promql_parser.Expr] = []

    def visit(each: promql_parser.Expr) -> None:
        found.append(each)

    promql_parser.walk(promql_parser.parse(plain(expression)), visit)
    return found


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    return [each for each in walked(expression) if isinstance(each, promql_parser.VectorSelector)]


def labels_of(expression: str) -> set[str]:
    """Those that each metric of an expression has."""
    return set.intersection(*(known()[each.name] for each in selectors(expression)))


def is_seen_to_fire(alert: str) -> bool:
    """Whether a test for promtool expects it."""
    by_rule = (t for test in TESTS for t in test.get("alert_rule_test", []) if t["alertname"] == alert)
    by_series = (
        t for test in TESTS for t in test.get("promql_expr_test", []) if f'alertname="{alert}"' in t["expr"]
    )
    return any(t.get("exp_alerts") for t in by_rule) or any(t.get("exp_samples") for t in by_series)


every_expression = pytest.mark.parametrize(
    "expression",
    [
        *(pytest.param(rule["expr"], id=rule["alert"]) for rule in ALERTS),
        *(
            pytest.param(target["expr"], id=f"{panel['title']}-{target['refId']}")
            for panel in PANELS
            for target in panel["targets"]
        ),
    ],
)
every_alert = pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])


@every_expression
def test_an_expression_asks_for_what_is_there(expression):
    for each in selectors(expression):
        assert each.name in known()
        asked = {matcher.name for matcher in each.matchers.matchers}
        assert asked <= known()[each.name], each.name
    for each in walked(expression):
        if isinstance(each, promql_parser.AggregateExpr) and each.modifier:
            assert set(each.modifier.labels) <= labels_of(str(each.expr)), str(each)


def test_everything_that_we_measure_is_shown_or_alerted_on():
    expressions = [rule["expr"] for rule in ALERTS] + [t["expr"] for p in PANELS for t in p["targets"]]
    used = {re.sub("_(bucket|count|sum)$", "", each.name) for e in expressions for each in selectors(e)}
    ours = {re.sub("_(bucket|count|sum)$", "", name) for name in exposed() if name.startswith("ticketing_")}
    assert ours <= used


@every_alert
def test_an_alert_says_how_urgent_it_is_and_where_it_is_explained(rule):
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["labels"]["namespace"] == "ticketing"
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
    assert is_seen_to_fire(rule["alert"])


@every_alert
def test_an_alerts_text_names_labels_that_it_has(rule):
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert named <= labels_of(rule["expr"])


def test_each_alert_has_its_heading_and_each_heading_its_alert():
    sections = re.findall(r"^### (\w+)\n\n(\w+)\.", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert [(name, urgency.lower()) for name, urgency in sections] == [
        (rule["alert"], rule["labels"]["severity"]) for rule in ALERTS
    ]


def test_a_service_that_is_missed_is_named():
    (down,) = (rule for rule in ALERTS if rule["alert"] == "TicketingServiceDown")
    assert set(re.findall(r'service="([\w-]+)"', down["expr"])) == set(PROGRAMS)


def test_rendered_it_scrapes_every_pod_of_ours_and_no_other():
    by_kind = {each["kind"]: each for each in kustomize(FOLDER)}
    assert by_kind.keys() == {"PodMonitor", "PrometheusRule", "ConfigMap"}
    for each in by_kind.values():
        assert each["metadata"]["namespace"] == "ticketing"
        assert each["metadata"]["labels"]["release"] == "kube-prometheus-stack"
    assert by_kind["ConfigMap"]["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(by_kind["ConfigMap"]["data"]["ticketing.json"]) == DASHBOARD

    monitor = by_kind["PodMonitor"]["spec"]
    (endpoint,) = monitor["podMetricsEndpoints"]
    for overlay in ("dev", "prod"):
        scraped = [each for each in selected(overlay, monitor["selector"]) if endpoint["port"] in each.ports]
        assert {each.labels[NAME] for each in scraped} == set(PROGRAMS)
        assert {each.labels[monitor["jobLabel"]] for each in scraped} == {"ticketing"}


@pytest.mark.parametrize("job", ["reconcile", "backup"])
def test_the_cron_jobs_that_are_watched_are_there(job):
    assert any(job in each.name for each in workloads("prod", "CronJob"))


def test_panels_lie_side_by_side():
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24
        area = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not area & taken, panel["title"]
        taken |= area
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_good_looks_like_and_names_labels_that_it_has(panel):
    assert "Good:" in panel["description"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        legend = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
        assert legend <= labels_of(target["expr"])


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="the alerts are not tried out: promtool is not on PATH"
)
def test_alerts_fire_when_they_should_and_only_then(tmp_path):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(SPEC))
    shutil.copy(FOLDER / "rules.test.yaml", tmp_path)
    for command in ("check rules rules.yaml", "test rules rules.test.yaml"):
        made = subprocess.run(["promtool", *command.split()], cwd=tmp_path, capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr
