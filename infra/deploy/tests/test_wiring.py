"""The manifests give services the settings, secrets, network access and routes that their code needs."""

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

import pytest
from cluster import (
    OVERLAYS,
    Workload,
    environment,
    named,
    of_kind,
    secrets_used,
    selected,
    workload,
    workloads,
)

import auth.config
import client.config
import expiration.config
import orders.config
import payments.config
import tickets.config
from stripe_stand_in import settings as stand_in_settings
from ticketing_common.config import Settings
from ticketing_deploy.images import ROOT
from ticketing_local.ingress import ROUTES, SITE

SETTINGS: dict[str, type[Settings]] = {
    "auth": auth.config.Settings,
    "tickets": tickets.config.Settings,
    "orders": orders.config.Settings,
    "payments": payments.config.Settings,
    "expiration": expiration.config.Settings,
    "expiration-worker": expiration.config.Settings,
    "client": client.config.Settings,
    "reconcile": payments.config.ReconciliationSettings,
}
STAND_IN = "stripe-stand-in"
SECRETS = {
    "jwt-secret/jwt": "0123456789abcdef",
    "stripe-secret/STRIPE_KEY": "sk_test_0123",
    "stripe-secret/STRIPE_PUBLISHABLE_KEY": "pk_test_0123",
    "stripe-secret/STRIPE_WEBHOOK_SECRET": "whsec_0123",
}
"""A value of the right form for each secret."""

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@every_overlay
@pytest.mark.parametrize("name", SETTINGS)
def test_environment_satisfies_the_settings(overlay, name, monkeypatch):
    variables = environment(overlay, workload(overlay, name))
    for key, value in variables.items():
        monkeypatch.setenv(key, SECRETS.get(value, value))
    fields = SETTINGS[name].model_fields
    missing = {key for key, field in fields.items() if field.is_required()} - {
        key.lower() for key in variables
    }
    assert not missing
    assert SETTINGS[name]()


def test_environment_satisfies_the_stand_in():
    assert stand_in_settings.from_environment(environment("dev", workload("dev", STAND_IN)))


@every_overlay
@pytest.mark.parametrize("name", SETTINGS)
def test_workload_has_no_variable_that_its_settings_do_not_read(overlay, name):
    own = {variable["name"].lower() for variable in workload(overlay, name).container["env"]}
    assert own <= SETTINGS[name].model_fields.keys()


@every_overlay
def test_every_shared_setting_is_read(overlay):
    (shared,) = (m for m in of_kind(overlay, "ConfigMap") if m["metadata"]["name"].startswith("market-"))
    read = {field.upper() for settings in SETTINGS.values() for field in settings.model_fields}
    assert shared["data"].keys() <= read


@every_overlay
def test_stream_has_one_replica_for_each_nats_server(overlay):
    nats = workload(overlay, "nats").spec.get("replicas", 1)
    assert environment(overlay, workload(overlay, "orders"))["NATS_REPLICAS"] == str(nats)


@every_overlay
def test_secrets_used_are_those_documented(overlay):
    documented = set()
    for command in re.findall(
        r"create secret generic (.+?)(?=\n\S|\Z)", (ROOT / "docs" / "kubernetes.md").read_text(), re.S
    ):
        secret = command.split()[0]
        documented |= {(secret, key) for key in re.findall(r"--from-literal=(\w+)=", command)}
    assert secrets_used(overlay) == documented


@every_overlay
def test_every_host_in_the_environment_is_a_service_with_that_port(overlay):
    for each, host, url in _urls(overlay):
        if "." not in host:
            service = named(overlay, "Service", host)
            port = url.port or {"mongodb": 27017, "http": 80}[url.scheme]
            assert port in {p["port"] for p in service["spec"]["ports"]}, (each.name, url.geturl())


def test_each_service_has_its_own_database():
    found = {
        each.name: (url.hostname, url.path)
        for each, _, url in _urls("prod")
        if url.scheme == "mongodb" and each.kind == "Deployment"
    }
    owners = {name: (f"{name}-mongo", f"/{name}") for name in ("auth", "tickets", "orders", "payments")}
    expiration = ("expiration-mongo", "/expiration")
    assert found == owners | {"expiration": expiration, "expiration-worker": expiration}


def test_every_database_is_backed_up():
    urls = [url for each, _, url in _urls("prod") if each.name == "backup"]
    dumped = {url.hostname for url in urls if url.scheme == "mongodb"}
    assert dumped == {each.name for each in workloads("prod", "StatefulSet") if each.name.endswith("-mongo")}


@every_overlay
def test_network_policies_allow_exactly_the_configured_calls(overlay):
    calls = set(_calls(overlay))
    assert set(_allowed_out(overlay)) == calls
    assert set(_allowed_in(overlay)) == {call for call in calls if call[1] != "stripe"}


@every_overlay
def test_default_network_policy_denies_everything(overlay):
    (default,) = (p for p in of_kind(overlay, "NetworkPolicy") if p["metadata"]["name"] == "deny-all")
    assert default["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def _fields(name: str) -> set[str]:
    return set(SETTINGS[name].model_fields) if name in SETTINGS else set()


def _urls(overlay: str) -> Iterator[tuple[Workload, str, SplitResult]]:
    """Yields (workload, host, URL)."""
    for each in workloads(overlay, "Deployment", "CronJob"):
        for variable, value in environment(overlay, each).items():
            # Every service gets the URLs of Stripe; only browsers load its script.
            is_called = variable != "STRIPE_JS" and (
                variable != "STRIPE_API_BASE" or "stripe_api_base" in _fields(each.name)
            )
            if "://" in value and is_called:
                url = urlsplit(value)
                yield each, url.hostname or "", url


def _calls(overlay: str) -> Iterator[tuple[str, str, int]]:
    """Yields (caller, callee, port) for each URL in the environment, and for the members of a store."""
    for each, host, _ in _urls(overlay):
        if "." in host:
            yield each.name, "stripe", 443
        else:
            service = named(overlay, "Service", host)
            (target,) = selected(overlay, {"matchLabels": service["spec"]["selector"]})
            port = service["spec"]["ports"][0]
            target_port = port.get("targetPort", port["port"])
            yield each.name, target.name, target.ports.get(target_port, target_port)
    for each in workloads(overlay, "StatefulSet"):
        if each.name.endswith("-mongo"):
            yield each.name, each.name, 27017
    yield "nats", "nats", 6222


def _allowed_out(overlay: str) -> Iterator[tuple[str, str, int]]:
    for policy in of_kind(overlay, "NetworkPolicy"):
        if policy["metadata"]["name"] == "names":
            continue
        for rule in policy["spec"].get("egress", []):
            for caller in selected(overlay, policy["spec"]["podSelector"]):
                for port in rule["ports"]:
                    for peer in rule["to"]:
                        if "ipBlock" in peer:
                            yield caller.name, "stripe", port["port"]
                        else:
                            for callee in selected(overlay, peer["podSelector"]):
                                yield caller.name, callee.name, port["port"]


def _allowed_in(overlay: str) -> Iterator[tuple[str, str, int]]:
    for policy in of_kind(overlay, "NetworkPolicy"):
        for rule in policy["spec"].get("ingress", []):
            for callee in selected(overlay, policy["spec"]["podSelector"]):
                for port in rule["ports"]:
                    for peer in rule["from"]:
                        if "podSelector" in peer:
                            for caller in selected(overlay, peer["podSelector"]):
                                yield caller.name, callee.name, port["port"]


@every_overlay
def test_network_policies_admit_the_ingress_only_to_services_it_routes_to(overlay):
    open_to = {
        (callee.name, port["port"])
        for policy in of_kind(overlay, "NetworkPolicy")
        for rule in policy["spec"].get("ingress", [])
        for peer in rule["from"]
        if peer.get("namespaceSelector") == {"matchLabels": {"ticketing.dev/ingress": "true"}}
        for callee in selected(overlay, policy["spec"]["podSelector"])
        for port in rule["ports"]
    }
    assert open_to == {(name, 3000) for name in {backend for _, backend in _paths(overlay)}}


def _paths(overlay: str) -> set[tuple[str, str]]:
    """The (path, service) pairs of the Ingress or the Gateway."""
    if overlay == "gateway":
        rules = named(overlay, "HTTPRoute", "ticketing")["spec"]["rules"]
        return {(r["matches"][0]["path"]["value"], r["backendRefs"][0]["name"]) for r in rules}
    (ingress,) = of_kind(overlay, "Ingress")
    each_host = [
        {(p["path"], p["backend"]["service"]["name"]) for p in rule["http"]["paths"]}
        for rule in ingress["spec"]["rules"]
    ]
    assert all(paths == each_host[0] for paths in each_host)
    return each_host[0]


@every_overlay
def test_every_ingress_has_the_same_paths(overlay):
    stripe_paths = {("/v1", STAND_IN), ("/v3", STAND_IN)} if overlay == "dev" else set()
    assert _paths(overlay) - stripe_paths == {*ROUTES.items(), ("/", SITE)}
    assert stripe_paths <= _paths(overlay)


@every_overlay
def test_ingress_has_no_annotation_of_one_controller(overlay):
    for ingress in of_kind(overlay, "Ingress"):
        annotations = ingress["metadata"]["annotations"]
        assert all(key.startswith("cert-manager.io/") for key in annotations)


def test_gateway_replaces_the_ingress_and_may_reach_its_services():
    assert not of_kind("gateway", "Ingress")
    policy = named("gateway", "CiliumNetworkPolicy", "gateway")
    (values,) = (e["values"] for e in policy["spec"]["endpointSelector"]["matchExpressions"])
    assert set(values) == {backend for _, backend in _paths("gateway")}


@pytest.mark.parametrize(
    ("overlay", "hosts"),
    [
        ("dev", {"ticketing.dev", "ticketing.localhost"}),
        ("prod", {"ticketing.dev"}),
    ],
)
def test_every_name_under_dev_has_a_certificate(overlay, hosts):
    (ingress,) = of_kind(overlay, "Ingress")
    assert {rule["host"] for rule in ingress["spec"]["rules"]} == hosts
    assert ingress["spec"]["tls"][0]["hosts"] == ["ticketing.dev"]
    assert named(overlay, "Issuer", ingress["metadata"]["annotations"]["cert-manager.io/issuer"])
