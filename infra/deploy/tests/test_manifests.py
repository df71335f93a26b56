"""The manifests of each kind of cluster: valid, restricted, healthy, and stopped in good order."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from cluster import NAME, OVERLAYS, PROGRAMS, named, of_kind, rendered, selected, workload, workloads
from commands import check

from ticketing_common.app import _STOP_WITHIN
from ticketing_deploy.images import IMAGES, ROOT, STRIPE_STAND_IN

SCHEMAS = Path(__file__).with_name("schemas")

NO_SCHEMA_HERE = {"Certificate", "Issuer", "Gateway", "HTTPRoute", "CiliumNetworkPolicy"}
"""Kinds of other projects, whose schemas only a cluster has in which they are installed."""

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)


@every_overlay
def test_every_object_is_valid_for_a_recent_kubernetes(overlay):
    for each in rendered(overlay):
        if each["kind"] not in NO_SCHEMA_HERE:
            kubernetes_validate.validate(each, "1.37", strict=True)


@every_overlay
def test_everything_is_in_the_one_namespace_and_says_what_it_belongs_to(overlay):
    for each in rendered(overlay):
        assert each["metadata"]["namespace"] == "ticketing", each["metadata"]["name"]
        if each["kind"] not in NO_SCHEMA_HERE:
            assert each["metadata"]["labels"]["app.kubernetes.io/part-of"] == "ticketing"


def test_the_namespace_refuses_pods_with_more_rights_than_they_need():
    namespace = yaml.safe_load((ROOT / "infra/k8s/namespace.yaml").read_text())
    assert namespace["metadata"]["name"] == "ticketing"
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


@every_overlay
def test_no_pod_has_a_right_that_it_can_do_without(overlay):
    for each in workloads(overlay):
        pod, container = each.pod, each.container
        assert pod["securityContext"]["runAsNonRoot"] is True, each.name
        assert pod["securityContext"]["runAsUser"] > 0, each.name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, each.name
        assert pod["automountServiceAccountToken"] is False, each.name
        assert pod["enableServiceLinks"] is False, each.name
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys(), each.name
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False, each.name
        assert rights["capabilities"] == {"drop": ["ALL"]}, each.name
        # In development the files that one saves are put into the containers of services.
        assert rights["readOnlyRootFilesystem"] is not (overlay == "dev" and each.kind == "Deployment"), (
            each.name
        )
        for volume in pod.get("volumes", []):
            assert volume.keys() - {"name"} <= {"emptyDir", "configMap", "persistentVolumeClaim"}, each.name
            assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"], each.name


@every_overlay
def test_every_container_says_what_it_needs_and_may_have_at_most(overlay):
    for each in workloads(overlay):
        for which in ("requests", "limits"):
            assert each.container["resources"][which].keys() == {"cpu", "memory"}, each.name


@pytest.mark.parametrize("overlay", ["prod", "gateway"])
def test_in_production_every_image_is_of_one_version(overlay):
    for each in workloads(overlay):
        _name, colon, version = each.container["image"].rpartition(":")
        assert colon, each.container["image"]
        assert version != "latest", each.container["image"]
        # Deployments put the commit in its place; see test_deploy.
        assert (version == "unreleased") == each.container["image"].startswith("registry."), each.name


@every_overlay
def test_a_release_that_cannot_reach_its_stores_replaces_nothing(overlay):
    for name in PROGRAMS:
        deployment = workload(overlay, name)
        assert deployment.container["startupProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
        assert deployment.spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


@every_overlay
def test_a_store_that_is_down_takes_no_service_out(overlay):
    for name in PROGRAMS:
        container = workload(overlay, name).container
        for probe in ("readinessProbe", "livenessProbe"):
            assert container[probe]["httpGet"] == {"path": "/healthz", "port": "http"}, name


@every_overlay
def test_everything_that_runs_on_is_probed_on_a_port_that_it_has(overlay):
    for each in workloads(overlay, "Deployment", "StatefulSet"):
        for name in ("startupProbe", "readinessProbe", "livenessProbe"):
            probe = each.container[name]
            if asked := probe.get("httpGet") or probe.get("tcpSocket"):
                assert asked["port"] in each.ports, (each.name, name)
            else:
                assert probe["exec"]["command"], (each.name, name)


@every_overlay
def test_a_pod_has_the_time_to_finish_what_it_has_in_hand(overlay):
    for name in PROGRAMS:
        pod = workload(overlay, name).pod
        before = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        # Requests first, then the background's work.
        assert pod["terminationGracePeriodSeconds"] >= before + 2 * _STOP_WITHIN, name


@every_overlay
def test_a_drained_node_takes_one_of_each_at_most(overlay):
    budgets = of_kind(overlay, "PodDisruptionBudget")
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        (which,) = selected(overlay, budget["spec"]["selector"])
        assert which.name == budget["metadata"]["name"]
    covered = {budget["metadata"]["name"] for budget in budgets}
    assert covered == {each.name for each in workloads(overlay, "Deployment", "StatefulSet")} - {
        STRIPE_STAND_IN.name
    }


@every_overlay
def test_replicas_are_kept_apart(overlay):
    for each in workloads(overlay, "Deployment", "StatefulSet"):
        for spread in each.pod["topologySpreadConstraints"]:
            assert NAME in spread["matchLabelKeys"], each.name


def test_in_production_no_node_has_two_of_a_replicated_store():
    for each in workloads("prod", "StatefulSet"):
        by_node = each.pod["topologySpreadConstraints"][0]
        assert (by_node["topologyKey"], by_node["whenUnsatisfiable"]) == (
            "kubernetes.io/hostname",
            "DoNotSchedule",
        )


@pytest.mark.parametrize("overlay", ["prod", "gateway"])
def test_what_grows_by_itself_has_no_fixed_number_of_replicas(overlay):
    """Else each deployment would set it back."""
    grow = {each["spec"]["scaleTargetRef"]["name"] for each in of_kind(overlay, "HorizontalPodAutoscaler")}
    assert grow == {"auth", "tickets", "orders", "payments", "client"}
    for name in PROGRAMS:
        assert ("replicas" in workload(overlay, name).spec) is (name not in grow), name


def test_a_developers_cluster_has_one_of_everything():
    for each in workloads("dev", "Deployment", "StatefulSet"):
        assert each.spec.get("replicas", 1) == 1, each.name


def test_in_production_each_replicated_store_knows_how_many_it_is():
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
    """All of it, with what it includes in its place."""
    (volume,) = (v for v in workload(overlay, "nats").pod["volumes"] if "configMap" in v)
    files = named(overlay, "ConfigMap", volume["configMap"]["name"])["data"]
    assert "include cluster.conf\n\n" in files["nats.conf"]
    cluster = files["cluster.conf"]
    return str(files["nats.conf"].replace("include cluster.conf\n\n", cluster and f"{cluster}\n"))


def test_one_nats_server_and_three_differ_in_the_cluster_alone():
    alone, three = (_nats_conf(overlay).split("\n\n") for overlay in ("dev", "prod"))
    (cluster,) = (part for part in three if part.startswith("cluster {"))
    assert [part for part in three if part != cluster][1:] == alone[1:]


@every_overlay
def test_every_service_leads_to_pods_that_have_its_port(overlay):
    for service in of_kind(overlay, "Service"):
        (target,) = selected(overlay, {"matchLabels": service["spec"]["selector"]})
        for port in service["spec"]["ports"]:
            wanted = port.get("targetPort", port["port"])
            assert wanted in {*target.ports, *target.ports.values()}, service["metadata"]["name"]


@every_overlay
def test_no_two_workloads_take_each_others_pods(overlay):
    for each in workloads(overlay, "Deployment", "StatefulSet"):
        assert [found.name for found in selected(overlay, each.spec["selector"])] == [each.name]


def test_skaffold_yaml_is_valid():
    check("check-jsonschema", "--schemafile", str(SCHEMAS / "skaffold-v4beta14.json"), "skaffold.yaml")


def _skaffold(profile: str | None = None) -> dict:
    """skaffold.yaml as a profile makes it."""
    config = yaml.safe_load((ROOT / "skaffold.yaml").read_text())
    profiles = {each["name"]: each for each in config.pop("profiles")}
    if profile:
        chosen = profiles[profile]
        config = config | {key: config[key] | chosen[key] for key in ("build", "manifests") if key in chosen}
        for patch in chosen.get("patches", []):
            *way, last = [int(step) if step.isdigit() else step for step in patch["path"].split("/")[1:]]
            where = config
            for step in way:
                where = where[step]
            assert where[last] is not None
            if patch["op"] == "remove":
                del where[last]
            else:
                where[last] = patch["value"]
    return config


@pytest.mark.parametrize(("profile", "overlay"), [(None, "dev"), ("dev", "dev"), ("prod", "prod")])
def test_skaffold_builds_exactly_the_images_that_the_cluster_runs(profile, overlay):
    config = _skaffold(profile)
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
    images = {image.name: image for image in [*IMAGES, STRIPE_STAND_IN]}
    for artifact in _skaffold(profile)["build"]["artifacts"]:
        image = images[artifact["image"].rpartition("/")[2]]
        docker = artifact["docker"]
        assert docker["target"] == target
        assert docker["buildArgs"]["SERVICE"] == image.module
        assert docker["buildArgs"].get("FOLDER", image.module) == image.folder
        for rule in artifact["sync"]["manual"]:
            assert (ROOT / rule["strip"]).is_dir()
            assert rule["src"] == f"{rule['strip']}**"


@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_skaffold_forwards_ports_that_there_are(overlay):
    for forward in _skaffold()["portForward"]:
        service = named(overlay, "Service", forward["resourceName"])
        assert forward["port"] in {port["port"] for port in service["spec"]["ports"]}
