"""Alerts and dashboard query metrics that exist; each alert is documented, and tested with promtool."""

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
"""The labels that the scrape adds to each of our series."""

EXTERNAL = {
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
"""The metrics of other exporters, with their labels."""

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
    """Every series of our programs with its labels: importing a program registers its metrics."""
    done = subprocess.run([sys.executable, "-P", "-c", _EXPOSE], capture_output=True, text=True, check=True)
    return {name: set(labels) | TARGET for name, labels in json.loads(done.stdout).items()}


@cache
def known() -> dict[str, set[str]]:
    return exposed() | EXTERNAL


def without_variables(expression: str) -> str:
    """The expression with Grafana's variables replaced by values."""
    for variable, value in {"$__rate_interval": "5m", "$__range": "3h", "$service": ".*"}.items():
        expression = expression.replace(variable, value)
    return expression


def nodes(expression: str) -> list[promql_parser.Expr]:
    found: list[promql_parser.Expr] = []

    def visit(each: promql_parser.Expr) -> None:
        found.append(each)

    promql_parser.walk(promql_parser.parse(without_variables(expression)), visit)
    return found


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    return [each for each in nodes(expression) if isinstance(each, promql_parser.VectorSelector)]


def metrics(expression: str) -> list[str]:
    return [each.name or "" for each in selectors(expression)]


def labels_of(expression: str) -> set[str]:
    """The labels that every metric of the expression has."""
    return set.intersection(*(known()[name] for name in metrics(expression)))


def is_tested_to_fire(alert: str) -> bool:
    """Whether a promtool test expects the alert."""
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
def test_expression_queries_existing_metrics_and_labels(expression):
    for each in selectors(expression):
        assert each.name in known()
        labels = {matcher.name for matcher in each.matchers.matchers}
        assert labels <= known()[each.name], each.name
    for node in nodes(expression):
        if isinstance(node, promql_parser.AggregateExpr) and node.modifier:
            assert set(node.modifier.labels) <= labels_of(str(node.expr)), str(node)


def test_every_metric_of_ours_is_on_the_dashboard_or_in_an_alert():
    expressions = [rule["expr"] for rule in ALERTS] + [t["expr"] for p in PANELS for t in p["targets"]]
    used = {re.sub("_(bucket|count|sum)$", "", name) for e in expressions for name in metrics(e)}
    ours = {re.sub("_(bucket|count|sum)$", "", name) for name in exposed() if name.startswith("ticketing_")}
    assert ours <= used


@every_alert
def test_alert_has_a_severity_a_runbook_and_a_test(rule):
    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["labels"]["namespace"] == "ticketing"
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"
    assert is_tested_to_fire(rule["alert"])


@every_alert
def test_alert_text_uses_existing_labels(rule):
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values())))
    assert named <= labels_of(rule["expr"])


def test_alerts_and_headings_of_the_runbook_match():
    sections = re.findall(r"^### (\w+)\n\n(\w+)\.", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert [(name, urgency.lower()) for name, urgency in sections] == [
        (rule["alert"], rule["labels"]["severity"]) for rule in ALERTS
    ]


def test_service_down_alert_covers_every_service():
    (down,) = (rule for rule in ALERTS if rule["alert"] == "TicketingServiceDown")
    assert set(re.findall(r'service="([\w-]+)"', down["expr"])) == set(PROGRAMS)


def test_pod_monitor_scrapes_exactly_the_pods_of_our_services():
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
def test_monitored_cron_jobs_exist(job):
    assert any(job in each.name for each in workloads("prod", "CronJob"))


def test_panels_do_not_overlap():
    occupied: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        position = panel["gridPos"]
        columns, rows = (
            range(position[start], position[start] + position[size]) for start, size in ("xw", "yh")
        )
        assert columns.stop <= 24
        area = {(x, y) for x in columns for y in rows}
        assert not area & occupied, panel["title"]
        occupied |= area
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panel_describes_good_values_and_uses_existing_labels(panel):
    assert "Good:" in panel["description"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    for target in panel["targets"]:
        legend = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
        assert legend <= labels_of(target["expr"])


@pytest.mark.skipif(
    not shutil.which("promtool"), reason="promtool is not on PATH, so the alerts are not tested"
)
def test_alerts_fire_exactly_when_expected(tmp_path):
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(SPEC))
    shutil.copy(FOLDER / "rules.test.yaml", tmp_path)
    for command in ("check rules rules.yaml", "test rules rules.test.yaml"):
        done = subprocess.run(["promtool", *command.split()], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
