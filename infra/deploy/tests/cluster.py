"""What kustomize makes of infra/k8s for each kind of cluster, and questions that tests ask of it."""

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

from ticketing_deploy.images import IMAGES, ROOT

Object = dict[str, Any]

PROGRAMS = [*(image.name for image in IMAGES), "expiration-worker"]
"""The Deployments of ours, by name."""
OVERLAYS = ["dev", "prod", "gateway"]
NAME = "app.kubernetes.io/name"


@functools.cache
def rendered(overlay: str) -> list[Object]:
    """The objects of a cluster: a developer's, production's, or production's with a Gateway."""
    if overlay != "gateway":
        return kustomize(ROOT / "infra" / f"k8s-{overlay}")
    with tempfile.TemporaryDirectory() as folder:
        # kustomize takes no absolute paths.
        base, component = (
            os.path.relpath(ROOT / "infra" / path, folder) for path in ("k8s-prod", "k8s/gateway")
        )
        Path(folder, "kustomization.yaml").write_text(
            yaml.safe_dump({"namespace": "ticketing", "resources": [base], "components": [component]})
        )
        return kustomize(Path(folder))


def kustomize(folder: Path) -> list[Object]:
    command = [tool("kubectl"), "kustomize", folder]
    made = subprocess.run(command, capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    return list(yaml.safe_load_all(made.stdout))


def of_kind(overlay: str, *kinds: str) -> list[Object]:
    return [each for each in rendered(overlay) if each["kind"] in kinds]


def named(overlay: str, kind: str, name: str) -> Object:
    (found,) = (each for each in of_kind(overlay, kind) if each["metadata"]["name"] == name)
    return found


@dataclass(frozen=True)
class Workload:
    """A Deployment, StatefulSet or CronJob, and what its pods are like."""

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
    """What its container is told; in place of a secret, `<secret>/<key>`."""
    told: dict[str, str] = {}
    for source in each.container.get("envFrom", []):
        told |= named(overlay, "ConfigMap", source["configMapRef"]["name"])["data"]
    for variable in each.container.get("env", []):
        if "value" in variable:
            told[variable["name"]] = variable["value"]
        elif "secretKeyRef" in variable["valueFrom"]:
            secret = variable["valueFrom"]["secretKeyRef"]
            told[variable["name"]] = f"{secret['name']}/{secret['key']}"
    return told


def secrets_used(overlay: str) -> set[tuple[str, str]]:
    return {
        (variable["valueFrom"]["secretKeyRef"]["name"], variable["valueFrom"]["secretKeyRef"]["key"])
        for each in workloads(overlay)
        for variable in each.container.get("env", [])
        if "secretKeyRef" in variable.get("valueFrom", {})
    }


def selected(overlay: str, selector: Object) -> Iterator[Workload]:
    """Those whose pods have all of the labels."""
    wanted = selector.get("matchLabels", {}).items()
    return (each for each in workloads(overlay) if wanted <= each.labels.items())
