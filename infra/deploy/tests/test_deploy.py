"""Rolling out and back: real git, real kustomize, and a kubectl that stands in for a cluster."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import git, tool

from ticketing_deploy.images import IMAGES, ROOT

REGISTRY = "registry.example/market"
MANIFESTS = {
    "namespace.yaml": "apiVersion: v1\nkind: Namespace\nmetadata: {name: ticketing}\n",
    "auth.yaml": """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: auth}
        spec: {template: {spec: {containers: [{name: auth, image: ticketing/auth}]}}}
    """,
    "expiration.yaml": """
        apiVersion: apps/v1
        kind: Deployment
        metadata: {name: expiration-worker}
        spec: {template: {spec: {containers: [{name: worker, image: ticketing/expiration}]}}}
    """,
    "nats.yaml": """
        apiVersion: apps/v1
        kind: StatefulSet
        metadata: {name: nats}
        spec: {template: {spec: {containers: [{name: nats, image: "nats:2.12.2"}]}}}
    """,
    "reconcile.yaml": """
        apiVersion: batch/v1
        kind: CronJob
        metadata: {name: reconcile}
        spec:
          jobTemplate: {spec: {template: {spec: {containers: [{name: x, image: ticketing/payments}]}}}}
    """,
}


@dataclass
class Place:
    """A repository with a tiny overlay, and a cluster that is a folder."""

    repository: Path
    cluster: Path

    def git(self, *arguments: str) -> str:
        return git(self.repository, *arguments)

    def commit(self, file: str, text: str) -> str:
        path = self.repository / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.git("add", ".")
        self.git("commit", "-m", file)
        return self.git("rev-parse", "HEAD")

    def command(self, *arguments: str) -> dict[str, Any]:
        package = self.repository / "infra/deploy/src"
        return {
            "args": [sys.executable, "-m", "ticketing_deploy.deploy", *arguments],
            "cwd": self.repository,
            "env": {
                **os.environ,
                "PYTHONPATH": str(package),
                "PATH": f"{self.cluster / 'bin'}:{os.environ['PATH']}",
                "CLUSTER": str(self.cluster),
                "REAL_KUBECTL": str(tool("kubectl")),
            },
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(**self.command(*arguments))

    def apply(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self.run("apply", "--registry", REGISTRY, *options)

    def tags(self) -> dict[str, str]:
        matrix = json.loads(self.run("tags").stdout)
        return {entry["name"]: entry["tag"] for entry in matrix["include"]}

    def calls(self) -> list[list[str]]:
        calls = self.cluster / "calls"
        return [json.loads(line) for line in calls.read_text().splitlines()] if calls.exists() else []

    def applied(self) -> list[str]:
        return [file.read_text() for file in sorted(self.cluster.glob("applied-*.yaml"))]

    def annotation(self) -> str:
        return (self.cluster / "annotation").read_text()

    def say(self, what: str, text: str = "") -> None:
        (self.cluster / what).write_text(text)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path / "repository", tmp_path / "cluster")
    package = "infra/deploy/src/ticketing_deploy"
    shutil.copytree(ROOT / package, place.repository / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".gitignore", place.repository)
    overlay = place.repository / "infra/k8s-prod"
    overlay.mkdir(parents=True)
    for name, text in MANIFESTS.items():
        (overlay / name).write_text(text)
    kept = [
        {"name": image.repository, "newName": f"elsewhere.example/old/{image.name}", "newTag": "unset"}
        for image in IMAGES
    ]
    kustomization = {"namespace": "ticketing", "resources": list(MANIFESTS), "images": kept}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    place.git("init", "--initial-branch=main")
    place.commit("common/src/first.py", "")
    (place.cluster / "bin").mkdir(parents=True)
    kubectl = place.cluster / "bin/kubectl"
    kubectl.write_text(f"#!{sys.executable}\n" + Path(__file__).with_name("kubectl_stand_in.py").read_text())
    kubectl.chmod(0o755)
    return place


def images(manifests: str) -> list[str]:
    return [line.split("image: ")[1] for line in manifests.splitlines() if "image: " in line]


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


def test_rendering_sets_each_image_of_ours_to_its_exact_tag(place: Place) -> None:
    rendered = place.run("render", "--registry", REGISTRY).stdout
    tags = place.tags()
    assert sorted(images(rendered)) == [
        "nats:2.12.2",
        *(f"{REGISTRY}/{name}:{tags[name]}" for name in ("auth", "expiration", "payments")),
    ]
    assert len(list(yaml.safe_load_all(rendered))) == len(MANIFESTS)


def test_only_what_an_image_is_made_from_changes_its_tag(place: Place) -> None:
    first = place.tags()
    assert set(first) == {image.name for image in IMAGES}
    orders = place.commit("orders/src/new.py", "")
    assert place.tags() == {**first, "orders": orders}
    place.commit("docs/words.md", "")
    assert place.tags() == {**first, "orders": orders}
    common = place.commit("common/src/second.py", "")
    assert set(place.tags().values()) == {common}


@pytest.mark.parametrize("image", ["nats", "nats:latest", "example.com/nats", "localhost:5000/nats:latest"])
def test_an_image_whose_tag_could_move_is_refused(place: Place, image: str) -> None:
    place.commit("infra/k8s-prod/nats.yaml", MANIFESTS["nats.yaml"].replace("nats:2.12.2", image))
    done = place.apply()
    assert done.returncode == 1
    assert last_line(done).startswith(f"Nothing was changed: {image}")
    assert place.applied() == []


def test_a_digest_is_as_good_as_a_tag(place: Place) -> None:
    image = f"nats@sha256:{'0' * 64}"
    place.commit("infra/k8s-prod/nats.yaml", MANIFESTS["nats.yaml"].replace("nats:2.12.2", image))
    assert image in images(place.run("render", "--registry", REGISTRY).stdout)


def test_a_shallow_clone_is_refused(place: Place) -> None:
    place.commit("orders/src/new.py", "")
    shallow = Place(place.repository.with_name("shallow"), place.cluster)
    place.git("clone", "--depth=1", f"file://{place.repository}", str(shallow.repository))
    done = shallow.run("tags")
    assert done.returncode == 1
    assert "shallow" in done.stdout


def test_changes_that_are_in_no_commit_are_refused(place: Place) -> None:
    (place.repository / "infra/k8s-prod/nats.yaml").write_text("")
    done = place.apply()
    assert done.returncode == 1
    assert last_line(done).startswith("Nothing was changed: infra has changes")


def test_a_success_is_noted_on_the_namespace(place: Place) -> None:
    commit = place.git("rev-parse", "HEAD")
    done = place.apply()
    assert done.returncode == 0, done.stdout
    assert place.annotation() == commit
    assert last_line(done) == f"DEPLOYED: {commit} runs; its 3 workloads are ready."
    waited = {call[2] for call in place.calls() if call[:2] == ["rollout", "status"]}
    assert waited == {"deployment.apps/auth", "deployment.apps/expiration-worker", "statefulset.apps/nats"}
    assert place.apply().returncode == 0  # and again


def test_a_failed_rollout_goes_back_to_the_earlier_commit_with_its_own_images_and_manifests(
    place: Place,
) -> None:
    place.apply()
    earlier = place.annotation()
    before = place.applied()[-1]
    place.commit("infra/k8s-prod/nats.yaml", MANIFESTS["nats.yaml"].replace("2.12.2", "2.13.0"))
    failing = place.commit("auth/src/broken.py", "")
    place.say("broken", failing)
    done = place.apply()
    assert done.returncode == 1
    assert f"auth:{failing}" in place.applied()[-2]
    assert place.applied()[-1] == before
    assert place.annotation() == earlier
    assert last_line(done).startswith(f"ROLLED BACK: {earlier} runs again")
    assert "Back-off pulling image" in done.stdout
    assert place.git("worktree", "list").count("\n") == 0


def test_what_the_server_refuses_is_rolled_back_too(place: Place) -> None:
    place.apply()
    failing = place.commit("auth/src/broken.py", "")
    place.say("refused", failing)
    done = place.apply()
    assert done.returncode == 1
    assert last_line(done).startswith("ROLLED BACK: ")


def test_a_rollback_uses_the_tags_that_its_own_code_gave(place: Place) -> None:
    place.apply()
    before = place.applied()[-1]
    # From now on images are made of something else, which would give the earlier commit other tags.
    code = "infra/deploy/src/ticketing_deploy/images.py"
    text = (place.repository / code).read_text() + '\nImage.made_from = property(lambda self: ["infra"])\n'
    failing = place.commit(code, text)
    place.say("broken", failing)
    place.apply()
    assert failing in place.applied()[-2]
    assert place.applied()[-1] == before


def test_a_rollback_that_fails_says_that_the_cluster_is_in_between(place: Place) -> None:
    place.apply()
    earlier = place.annotation()
    place.commit("auth/src/broken.py", "")
    place.say("broken", "auth")
    done = place.apply()
    assert done.returncode == 1
    assert len(place.applied()) == 3
    assert last_line(done).startswith("IN BETWEEN: ")
    assert place.annotation() == earlier


def test_an_earlier_commit_that_git_no_longer_has_is_a_rollback_that_fails(place: Place) -> None:
    place.say("annotation", "0" * 40)
    place.say("broken", "auth")
    done = place.apply()
    assert done.returncode == 1
    assert last_line(done).startswith("IN BETWEEN: ")


def test_a_first_deployment_that_fails_is_left_for_repair(place: Place) -> None:
    place.say("broken", "auth")
    done = place.apply()
    assert done.returncode == 1
    assert len(place.applied()) == 1
    assert last_line(done).startswith("NOT ROLLED BACK: ")
    (place.cluster / "broken").unlink()
    assert place.apply().returncode == 0


def test_a_commit_is_not_rolled_back_to_itself(place: Place) -> None:
    place.apply()
    place.say("broken", "auth")
    done = place.apply()
    assert done.returncode == 1
    assert len(place.applied()) == 2
    assert last_line(done).startswith("NOT ROLLED BACK: ")


def test_a_deadline_that_passed_in_an_earlier_rollout_is_not_held_against_this_one(place: Place) -> None:
    place.say("late")
    assert place.apply().returncode == 0


def test_a_pod_that_an_earlier_rollout_left_stuck_is_replaced(place: Place) -> None:
    def pod(name: str, revision: str, ready: str) -> dict[str, Any]:
        return {
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {"controller-revision-hash": revision},
                "ownerReferences": [{"kind": "StatefulSet", "name": "nats"}],
            },
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        }

    nats = {
        "kind": "StatefulSet",
        "metadata": {"name": "nats", "generation": 3},
        "status": {"observedGeneration": 3, "updateRevision": "good"},
    }
    other = {
        "kind": "Pod",
        "metadata": {"name": "auth-1"},
        "status": {"phase": "Pending"},
    }
    pods = [
        pod("ready", "bad", "True"),
        pod("stuck", "bad", "False"),
        pod("starting", "good", "False"),
        other,
    ]
    place.say("pods.json", json.dumps({"items": [nats, *pods]}))
    assert place.apply().returncode == 0
    assert [call[2] for call in place.calls() if call[0] == "delete"] == ["stuck"]


def test_the_last_words_of_pods_that_are_not_ready_are_shown(place: Place) -> None:
    pods = [{"metadata": {"name": f"auth-{n}"}, "kind": "Pod", "status": {}} for n in range(9)]
    place.say("pods.json", json.dumps({"items": pods}))
    place.say("broken", "auth")
    done = place.apply()
    assert done.stdout.count("says why") == 5
    assert last_line(done).startswith("NOT ROLLED BACK: ")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_says_what_is_left(place: Place, how: signal.Signals) -> None:
    place.say("slow")
    with subprocess.Popen(**place.command("apply", "--registry", REGISTRY)) as deploying:
        deadline = time.monotonic() + 20
        while not any(call[0] == "rollout" for call in place.calls()) and time.monotonic() < deadline:
            time.sleep(0.05)
        deploying.send_signal(how)
        said = deploying.communicate(timeout=20)[0]
    assert deploying.returncode == 1
    assert said.splitlines()[-1].startswith("INTERRUPTED: ")
    assert not (place.cluster / "annotation").exists()
