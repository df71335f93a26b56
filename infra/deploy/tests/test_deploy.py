"""Rollouts and rollbacks, with real git, real kustomize, and a kubectl stand-in for the cluster."""

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
class Setup:
    """A repository with a small overlay, and a folder that the kubectl stand-in uses as its cluster."""

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

    def write_state(self, what: str, text: str = "") -> None:
        (self.cluster / what).write_text(text)


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    setup = Setup(tmp_path / "repository", tmp_path / "cluster")
    package = "infra/deploy/src/ticketing_deploy"
    shutil.copytree(ROOT / package, setup.repository / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".gitignore", setup.repository)
    overlay = setup.repository / "infra/k8s-prod"
    overlay.mkdir(parents=True)
    for name, text in MANIFESTS.items():
        (overlay / name).write_text(text)
    overrides = [
        {
            "name": f"ticketing/{image.name}",
            "newName": f"elsewhere.example/old/{image.name}",
            "newTag": "unset",
        }
        for image in IMAGES
    ]
    kustomization = {"namespace": "ticketing", "resources": list(MANIFESTS), "images": overrides}
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    setup.git("init", "--initial-branch=main")
    setup.commit("common/src/first.py", "")
    (setup.cluster / "bin").mkdir(parents=True)
    kubectl = setup.cluster / "bin/kubectl"
    kubectl.write_text(f"#!{sys.executable}\n" + Path(__file__).with_name("kubectl_stand_in.py").read_text())
    kubectl.chmod(0o755)
    return setup


def images(manifests: str) -> list[str]:
    return [line.split("image: ")[1] for line in manifests.splitlines() if "image: " in line]


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.splitlines()[-1]


def test_render_sets_our_images_to_their_tags_and_keeps_others(setup: Setup) -> None:
    rendered = setup.run("render", "--registry", REGISTRY).stdout
    tags = setup.tags()
    assert sorted(images(rendered)) == [
        "nats:2.12.2",
        *(f"{REGISTRY}/{name}:{tags[name]}" for name in ("auth", "expiration", "payments")),
    ]
    assert len(list(yaml.safe_load_all(rendered))) == len(MANIFESTS)


def test_tag_changes_only_with_the_sources_of_the_image(setup: Setup) -> None:
    first = setup.tags()
    assert set(first) == {image.name for image in IMAGES}
    orders = setup.commit("orders/src/new.py", "")
    assert setup.tags() == {**first, "orders": orders, "operations": orders}
    setup.commit("docs/words.md", "")
    assert setup.tags() == {**first, "orders": orders, "operations": orders}
    common = setup.commit("common/src/second.py", "")
    assert set(setup.tags().values()) == {common}


def test_shallow_clone_is_rejected(setup: Setup) -> None:
    setup.commit("orders/src/new.py", "")
    shallow = Setup(setup.repository.with_name("shallow"), setup.cluster)
    setup.git("clone", "--depth=1", f"file://{setup.repository}", str(shallow.repository))
    done = shallow.run("tags")
    assert done.returncode == 1
    assert "shallow" in done.stdout


def test_uncommitted_changes_are_rejected(setup: Setup) -> None:
    (setup.repository / "infra/k8s-prod/nats.yaml").write_text("")
    done = setup.apply()
    assert done.returncode == 1
    assert last_line(done).startswith("Nothing was changed: infra has uncommitted changes")


def test_successful_rollout_is_recorded_on_the_namespace(setup: Setup) -> None:
    commit = setup.git("rev-parse", "HEAD")
    done = setup.apply()
    assert done.returncode == 0, done.stdout
    assert setup.annotation() == commit
    assert last_line(done) == f"DEPLOYED: {commit} runs; its 3 workloads are ready."
    waited = {call[2] for call in setup.calls() if call[:2] == ["rollout", "status"]}
    assert waited == {"deployment.apps/auth", "deployment.apps/expiration-worker", "statefulset.apps/nats"}
    assert setup.apply().returncode == 0


def test_failed_rollout_restores_the_manifests_and_images_of_the_previous_commit(setup: Setup) -> None:
    setup.apply()
    earlier = setup.annotation()
    before = setup.applied()[-1]
    setup.commit("infra/k8s-prod/nats.yaml", MANIFESTS["nats.yaml"].replace("2.12.2", "2.13.0"))
    failing = setup.commit("auth/src/broken.py", "")
    setup.write_state("broken", failing)
    done = setup.apply()
    assert done.returncode == 1
    assert f"auth:{failing}" in setup.applied()[-2]
    assert setup.applied()[-1] == before
    assert setup.annotation() == earlier
    assert last_line(done).startswith(f"ROLLED BACK: {earlier} runs again")
    assert "Back-off pulling image" in done.stdout
    assert setup.git("worktree", "list").count("\n") == 0


def test_manifests_that_the_server_rejects_are_rolled_back(setup: Setup) -> None:
    setup.apply()
    failing = setup.commit("auth/src/broken.py", "")
    setup.write_state("refused", failing)
    done = setup.apply()
    assert done.returncode == 1
    assert last_line(done).startswith("ROLLED BACK: ")


def test_rollback_computes_tags_with_the_code_of_the_previous_commit(setup: Setup) -> None:
    setup.apply()
    before = setup.applied()[-1]
    # This commit changes the sources of images; its code would compute other tags for the previous commit.
    code = "infra/deploy/src/ticketing_deploy/images.py"
    text = (setup.repository / code).read_text() + '\nImage.sources = property(lambda self: ["infra"])\n'
    failing = setup.commit(code, text)
    setup.write_state("broken", failing)
    setup.apply()
    assert failing in setup.applied()[-2]
    assert setup.applied()[-1] == before


def test_failed_rollback_is_reported(setup: Setup) -> None:
    setup.apply()
    earlier = setup.annotation()
    setup.commit("auth/src/broken.py", "")
    setup.write_state("broken", "auth")
    done = setup.apply()
    assert done.returncode == 1
    assert len(setup.applied()) == 3
    assert last_line(done).startswith("ROLLBACK FAILED: ")
    assert setup.annotation() == earlier


def test_rollback_fails_if_git_does_not_have_the_previous_commit(setup: Setup) -> None:
    setup.write_state("annotation", "0" * 40)
    setup.write_state("broken", "auth")
    done = setup.apply()
    assert done.returncode == 1
    assert last_line(done).startswith("ROLLBACK FAILED: ")


def test_failed_first_deployment_is_not_rolled_back_and_can_be_repeated(setup: Setup) -> None:
    setup.write_state("broken", "auth")
    done = setup.apply()
    assert done.returncode == 1
    assert len(setup.applied()) == 1
    assert last_line(done).startswith("NOT ROLLED BACK: ")
    (setup.cluster / "broken").unlink()
    assert setup.apply().returncode == 0


def test_commit_is_not_rolled_back_to_itself(setup: Setup) -> None:
    setup.apply()
    setup.write_state("broken", "auth")
    done = setup.apply()
    assert done.returncode == 1
    assert len(setup.applied()) == 2
    assert last_line(done).startswith("NOT ROLLED BACK: ")


def test_progress_deadline_of_an_earlier_rollout_is_ignored(setup: Setup) -> None:
    setup.write_state("late")
    assert setup.apply().returncode == 0


def test_pod_stuck_in_an_earlier_rollout_is_deleted(setup: Setup) -> None:
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
    setup.write_state("pods.json", json.dumps({"items": [nats, *pods]}))
    assert setup.apply().returncode == 0
    assert [call[2] for call in setup.calls() if call[0] == "delete"] == ["stuck"]


def test_logs_of_pods_that_are_not_ready_are_shown(setup: Setup) -> None:
    pods = [{"metadata": {"name": f"auth-{n}"}, "kind": "Pod", "status": {}} for n in range(9)]
    setup.write_state("pods.json", json.dumps({"items": pods}))
    setup.write_state("broken", "auth")
    done = setup.apply()
    assert done.stdout.count("log line of auth") == 5
    assert last_line(done).startswith("NOT ROLLED BACK: ")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_reports_the_state_of_the_cluster(setup: Setup, number: signal.Signals) -> None:
    setup.write_state("slow")
    with subprocess.Popen(**setup.command("apply", "--registry", REGISTRY)) as deploying:
        deadline = time.monotonic() + 20
        while not any(call[0] == "rollout" for call in setup.calls()) and time.monotonic() < deadline:
            time.sleep(0.05)
        deploying.send_signal(number)
        output = deploying.communicate(timeout=20)[0]
    assert deploying.returncode == 1
    assert output.splitlines()[-1].startswith("INTERRUPTED: ")
    assert not (setup.cluster / "annotation").exists()
