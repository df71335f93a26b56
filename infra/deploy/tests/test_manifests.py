"""The manifests of each overlay: valid, restricted, probed, and stopped gracefully."""

import functools
import re

import pytest
import yaml
from cluster import NAME, OVERLAYS, PROGRAMS, named, of_kind, rendered, selected, workload, workloads
from kubernetes_validate import utils as validation
from skaffold import skaffold

from ticketing_common.http.server import STOP_TIMEOUT
from ticketing_deploy.images import ALL, OPERATIONS, ROOT, STRIPE_STAND_IN

CUSTOM_KINDS = {"Certificate", "Issuer", "Gateway", "HTTPRoute", "CiliumNetworkPolicy"}
"""Custom resources, whose schemas only a cluster with their operators has."""

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@every_overlay
def test_every_object_matches_the_schemas_of_kubernetes(overlay, monkeypatch):
    # kubernetes-validate reads all definitions again for each object.
    monkeypatch.setattr(validation, "schema_contents", functools.cache(validation.schema_contents))
    for each in rendered(overlay):
        if each["kind"] not in CUSTOM_KINDS:
            validation.validate(each, "1.37", strict=True)


@every_overlay
def test_every_object_has_the_namespace_and_the_part_of_label(overlay):
    for each in rendered(overlay):
        assert each["metadata"]["namespace"] == "ticketing", each["metadata"]["name"]
        if each["kind"] not in CUSTOM_KINDS:
            assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "ticketing"


def test_namespace_enforces_the_restricted_pod_security_standard():
    namespace = yaml.safe_load((ROOT / "infra/k8s/namespace.yaml").read_text())
    assert namespace["metadata"]["name"] == "ticketing"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@every_overlay
def test_every_pod_runs_with_least_privilege(overlay):
    for each in workloads(overlay):
        pod, container = each.pod, each.container
        assert pod["securityContext"]["runAsNonRoot"] is True, each.name
        assert pod["securityContext"]["runAsUser"] > 0, each.name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, each.name
        assert pod["automountServiceAccountToken"] is False, each.name
        assert pod["enableServiceLinks"] is False, each.name
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys(), each.name
        privileges = container["securityContext"]
        assert privileges["allowPrivilegeEscalation"] is False, each.name
        assert privileges["capabilities"] == {"drop": ["ALL"]}, each.name
        # `skaffold dev` copies saved files into the containers of services.
        assert privileges["readOnlyRootFilesystem"] is not (overlay == "dev" and each.kind == "Deployment"), (
            each.name
        )
        for volume in pod.get("volumes", []):
            assert volume.keys() - {"name"} <= {"emptyDir", "configMap", "persistentVolumeClaim"}, each.name
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], each.name


@every_overlay
def test_every_container_has_requests_and_limits(overlay):
    for each in workloads(overlay):
        for kind in ("requests", "limits"):
            assert each.container["resources"][kind].keys() == {"cpu", "memory"}, each.name


@pytest.mark.parametrize("overlay", ["prod", "gateway"])
def test_in_production_every_image_has_a_fixed_tag(overlay):
    for each in workloads(overlay):
        image = each.container["image"]
        _name, _colon, version = image.rpartition(":")
        assert re.fullmatch(r"\S+:[\w.-]+", image), image
        assert version != "latest", image
        # A deployment replaces it with the commit; see test_deploy.
        assert (version == "unreleased") == image.startswith("registry."), each.name


@every_overlay
def test_release_that_cannot_reach_its_stores_replaces_no_pod(overlay):
    for name in PROGRAMS:
        deployment = workload(overlay, name)
        assert deployment.container["startupProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert deployment.spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@every_overlay
def test_service_stays_in_rotation_while_a_store_is_down(overlay):
    for name in PROGRAMS:
        container = workload(overlay, name).container
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"] == {"path": "/healthz", "port": "http"}, name


@every_overlay
def test_every_probe_uses_a_port_of_its_container(overlay):
    for each in workloads(overlay, "Deployment", "StatefulSet"):
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = each.container[name]
            if action := probe.get("httpGet") or probe.get("tcpSocket"):
                assert action["port"] in each.ports, (each.name, name)
            else:
                assert probe["exec"]["command"], (each.name, name)


@every_overlay
def test_grace_period_covers_requests_and_background_work(overlay):
    for name in PROGRAMS:
        pod = workload(overlay, name).pod
        delay = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        # A service stops its requests first, then its background work.
        assert pod["terminationGracePeriodSeconds"] >= delay + 2 * STOP_TIMEOUT, name


@every_overlay
def test_draining_a_node_evicts_at_most_one_pod_of_each_workload(overlay):
    budgets = of_kind(overlay, "PodDisruptionBudget")
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        (workload_,) = selected(overlay, budget["spec"]["selector"])
        assert workload_.name == budget["metadata"]["name"]
    covered = {budget["metadata"]["name"] for budget in budgets}
    assert covered == {each.name for each in workloads(overlay, "Deployment", "StatefulSet")} - {
        STRIPE_STAND_IN.name
    }


@every_overlay
def test_replicas_are_spread_over_nodes(overlay):
    for each in workloads(overlay, "Deployment", "StatefulSet"):
        for spread in each.pod["topologySpreadConstraints"]:
            assert NAME in spread["matchLabelKeys"], each.name


def test_in_production_no_node_runs_two_members_of_a_store():
    for each in workloads("prod", "StatefulSet"):
        by_node = each.pod["topologySpreadConstraints"][0]
        assert (by_node["topologyKey"], by_node["whenUnsatisfiable"]) == (
            "kubernetes.io/hostname",
            "DoNotSchedule",
        )


@pytest.mark.parametrize("overlay", ["prod", "gateway"])
def test_autoscaled_deployment_has_no_fixed_number_of_replicas(overlay):
    """With a number, each deployment would reset what the autoscaler chose."""
    scaled = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(overlay, "HorizontalPodAutoscaler")}
    assert scaled == {"auth", "tickets", "orders", "payments", "client"}
    for name in PROGRAMS:
        assert ("replicas" in workload(overlay, name).spec) is (name not in scaled), name


def test_development_runs_one_replica_of_everything():
    for each in workloads("dev", "Deployment", "StatefulSet"):
        assert each.spec.get("replicas", 1) == 1, each.name


def test_in_production_every_store_is_configured_with_its_number_of_members():
    for each in workloads("prod", "StatefulSet"):
        if each.name.endswith("-mongo"):
            assert each.spec["replicas"] == 3
            assert {"name": "MEMBERS", "value": "3"} in each.container["env"]
    nats = workload("prod", "nats")
    assert nats.spec["replicas"] == 3
    assert [line.strip() for line in _nats_conf("prod").splitlines() if "nats://" in line] == [
        f"nats://{nats.name}-{n}.{nats.spec['serviceName']}:{nats.ports['members']}" for n in range(3)
    ]


def _nats_conf(overlay: str) -> str:
    """The configuration of NATS with its include replaced by that file."""
    (volume,) = (v for v in workload(overlay, "nats").pod["volumes"] if "configMap" in v)
    files = named(overlay, "ConfigMap", volume["configMap"]["name"])["data"]
    assert "include cluster.conf\n\n" in files["nats.conf"]
    cluster = files["cluster.conf"]
    return str(files["nats.conf"].replace("include cluster.conf\n\n", cluster and f"{cluster}\n"))


def test_nats_configurations_differ_only_in_the_cluster():
    single, three = (_nats_conf(overlay).split("\n\n") for overlay in ("dev", "prod"))
    (cluster,) = (part for part in three if part.startswith("cluster {"))
    assert [part for part in three if part != cluster][1:] == single[1:]


@every_overlay
def test_every_service_selects_pods_that_have_its_port(overlay):
    for service in of_kind(overlay, "Service"):
        (target,) = selected(overlay, {"matchLabels": service["spec"]["selector"]})
        for port in service["spec"]["ports"]:
            target_port = port.get("targetPort", port["port"])
            assert target_port in {*target.ports, *target.ports.values()}, service["metadata"]["name"]


@every_overlay
def test_no_selector_matches_the_pods_of_another_workload(overlay):
    for each in workloads(overlay, "Deployment", "StatefulSet"):
        assert [found.name for found in selected(overlay, each.spec["selector"])] == [each.name]


@pytest.mark.parametrize(("profile", "overlay"), [(None, "dev"), ("dev", "dev"), ("prod", "prod")])
def test_skaffold_builds_exactly_the_images_that_the_overlay_runs(profile, overlay):
    config = skaffold(profile)
    assert config["manifests"]["kustomize"]["paths"] == [f"infra/k8s-{overlay}"]
    built = {artifact["image"] for artifact in config["build"]["artifacts"]}
    run = {
        each.container["image"].removesuffix(":unreleased")
        for each in workloads(overlay)
        if each.kind != "StatefulSet"
    }
    assert built == run


@pytest.mark.parametrize(("profile", "target"), [(None, "runtime"), ("dev", "dev"), ("prod", "runtime")])
def test_skaffold_builds_each_image_from_its_own_folder(profile, target):
    for artifact in skaffold(profile)["build"]["artifacts"]:
        image = ALL[artifact["image"].rpartition("/")[2]]
        docker = artifact["docker"]
        assert docker["target"] == ("operations" if image is OPERATIONS else target)
        assert docker["buildArgs"]["SERVICE"] == image.module
        assert docker["buildArgs"].get("FOLDER", image.module) == image.folder
        for rule in artifact.get("sync", {}).get("manual", []):
            assert (ROOT / rule["strip"]).is_dir()
            assert rule["src"] == f"{rule['strip']}**"


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_skaffold_forwards_existing_ports(overlay):
    for forward in skaffold()["portForward"]:
        service = named(overlay, "Service", forward["resourceName"])
        assert forward["port"] in {port["port"] for port in service["spec"]["ports"]}
