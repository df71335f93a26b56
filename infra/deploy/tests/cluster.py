"""The overlays of infra/k8s as kustomize renders them, and queries on them."""

import functools
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from commands import tool

from ticketing_deploy.images import ROOT, SERVICES

Object = dict[str, Any]

PROGRAMS = [*(image.name for image in SERVICES), "expiration-worker"]
"""The names of our Deployments."""
OVERLAYS = ["dev", "prod", "gateway"]
NAME = "app.kubernetes.io/name"


@functools.cache
def rendered(overlay: str) -> list[Object]:
    """The objects of an overlay; `gateway` is production with a Gateway."""
    if overlay != "gateway":
        return kustomize(ROOT / "infra" / f"k8s-{overlay}")
    with tempfile.TemporaryDirectory() as folder:
        # kustomize accepts no absolute paths.
        base, component = (
            os.path.relpath(ROOT / "infra" / path, folder) for path in ("k8s-prod", "k8s/gateway")
        )
        Path(folder, "kustomization.yaml").write_text(
            yaml.safe_dump({"namespace": "ticketing", "resources": [base], "components": [component]})
        )
        return kustomize(Path(folder))


def kustomize(folder: Path) -> list[Object]:
    command: list[str | Path] = [tool("kubectl"), "kustomize", folder]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    return [each for each in rendered(overlay) if each["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Object:
    (found,) = (each for each in of_kind(overlay, kind) if each["metadata"]["name"] == name)
    return found


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet or CronJob, with its pod template."""

    kind: str
    name: str
    spec: Object
    labels: dict[str, str]
    pod: Object

    @property
    def container(self) -> Object:
        (only,) = self.pod["containers"]
        return dict(only)

    @property
    def ports(self) -> dict[str, int]:
        return {port["name"]: port["containerPort"] for port in self.container.get("ports", [])}


def workloads(overlay: str, *kinds: str) -> list[Workload]:
    found = []
    for each in of_kind(overlay, *(kinds or ("Deployment", "StatefulSet", "CronJob"))):
        spec = each["spec"]
        template = spec["jobTemplate"]["spec"]["template"] if each["kind"] == "CronJob" else spec["template"]
        labels = template["metadata"]["labels"]
        found.append(Workload(each["kind"], each["metadata"]["name"], spec, labels, template["spec"]))
    return found


def workload(overlay: str, name: str) -> Workload:
    (found,) = (each for each in workloads(overlay) if each.name == name)
    return found


def environment(overlay: str, each: Workload) -> dict[str, str]:
    """The variables of its container; the value of a secret is `<secret>/<key>`."""
    variables: dict[str, str] = {}
    for source in each.container.get("envFrom", []):
        variables |= named(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in each.container.get("env", []):
        if "value" in variable:
            variables[variable["name"]] = variable["value"]
        elif "secretKeyRef" in variable["valueFrom"]:
            secret = variable["valueFrom"]["secretKeyRef"]
            variables[variable["name"]] = f"{secret['name']}/{secret['key']}"
    return variables


def secrets_used(overlay: str) -> set[tuple[str, str]]:
    return {
        (variable["valueFrom"]["secretKeyRef"]["name"], variable["valueFrom"]["secretKeyRef"]["key"])
        for each in workloads(overlay)
        for variable in each.container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    }


def selected(overlay: str, selector: Object) -> Iterator[Workload]:
    """The workloads whose pods have all labels of the selector."""
    labels = selector.get("matchLabels", {}).items()
    return (each for each in workloads(overlay) if labels <= each.labels.items())
