"""compose.yml and the dev container match their schemas, and compose.yml wires what infra/k8s-dev wires."""

import json
import re
import subprocess
from typing import Any

import pytest
import yaml
from cluster import Workload, environment, of_kind, workload, workloads
from commands import check
from skaffold import skaffold

from ticketing_common.testing.servers import find_binary
from ticketing_deploy.images import ROOT

SECRETS = {
    "jwt-secret/jwt": "development-only",
    "stripe-secret/STRIPE_KEY": "sk_test_development",
    "stripe-secret/STRIPE_PUBLISHABLE_KEY": "pk_test_development",
    "stripe-secret/STRIPE_WEBHOOK_SECRET": "whsec_development",
}
STORES = {"mongo": "orders-mongo", "nats": "nats", "redis": "redis"}
"""The StatefulSet that each store of compose.yml stands for."""


def load() -> dict[str, Any]:
    """compose.yml without variables of the shell."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (ROOT / "compose.yml").read_text())
    services: dict[str, Any] = yaml.safe_load(text)["services"]
    return services


COMPOSE = load()
DEPLOYMENTS = workloads("dev", "Deployment")

every_deployment = pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda each: each.name)


def test_compose_file_matches_its_schema() -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yml")


def test_compose_runs_the_deployments_the_stores_and_an_ingress() -> None:
    assert COMPOSE.keys() == {each.name for each in DEPLOYMENTS} | STORES.keys() | {"ingress"}


@every_deployment
def test_service_has_the_environment_of_its_deployment(deployment: Workload) -> None:
    variables = environment("dev", deployment)
    expected = {name: SECRETS.get(value, value) for name, value in variables.items()}
    actual = {name: str(value) for name, value in COMPOSE[deployment.name]["environment"].items()}
    assert actual == expected


@every_deployment
def test_service_runs_the_image_and_arguments_of_its_deployment(deployment: Workload) -> None:
    service = COMPOSE[deployment.name]
    assert service["image"] == deployment.container["image"]
    assert service.get("command") == deployment.container.get("args")


@pytest.mark.parametrize("store", STORES)
def test_store_runs_the_image_of_its_stateful_set(store: str) -> None:
    assert COMPOSE[store]["image"] == workload("dev", STORES[store]).container["image"]


def test_images_are_built_as_skaffold_builds_them() -> None:
    artifacts = {each["image"]: each for each in skaffold()["build"]["artifacts"]}
    built = {each["image"]: each["build"] for each in COMPOSE.values() if "build" in each}
    assert built.keys() == artifacts.keys()
    for image, build in built.items():
        docker = artifacts[image]["docker"]
        assert build == {
            "context": artifacts[image]["context"],
            "dockerfile": docker["dockerfile"],
            "target": docker["target"],
            "args": docker["buildArgs"],
        }


def test_every_service_of_the_manifests_has_a_name_in_the_network() -> None:
    aliases = COMPOSE["mongo"]["networks"]["default"]["aliases"]
    members = {"nats-members"}  # of a cluster of NATS servers
    assert {each["metadata"]["name"] for each in of_kind("dev", "Service")} - members <= {*COMPOSE, *aliases}


def test_everything_has_a_health_check() -> None:
    assert all("healthcheck" in COMPOSE[name] for name in [*STORES, "ingress"])
    assert "\nHEALTHCHECK " in (ROOT / "infra/docker/Dockerfile").read_text()


def test_mounted_files_exist() -> None:
    mounts = [volume for service in COMPOSE.values() for volume in service.get("volumes", [])]
    paths = [mount.split(":")[0] for mount in mounts if mount.startswith(".")]
    assert paths
    assert all((ROOT / path).exists() for path in paths)


def test_ingress_routes_the_paths_of_the_manifests() -> None:
    command = [find_binary("caddy"), "adapt", "--config", str(ROOT / "infra/docker/Caddyfile")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    (server,) = json.loads(done.stdout)["apps"]["http"]["servers"].values()
    routed = {
        (path.removesuffix("*").rstrip("/"), handler["upstreams"][0]["dial"])
        for route in server["routes"]
        for match in route.get("match", [])
        for path in match["path"]
        for handler in route["handle"]
    }
    (ingress,) = of_kind("dev", "Ingress")
    paths = [(p["path"], p["backend"]["service"]) for p in ingress["spec"]["rules"][0]["http"]["paths"]]
    assert routed == {(path.rstrip("/"), f"{service['name']}:3000") for path, service in paths}


def test_ports_are_published_on_the_loopback_interface_only() -> None:
    """The secrets of development are public."""
    ports = [port for service in COMPOSE.values() for port in service.get("ports", [])]
    assert ports == ["127.0.0.1:8000:8000"]


def test_dev_container_installs_what_the_checks_need() -> None:
    configuration = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    assert configuration["postCreateCommand"] == "sudo bash .ci/run help && make venv"
    assert "bookworm" in configuration["image"]
