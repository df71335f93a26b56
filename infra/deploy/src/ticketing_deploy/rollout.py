"""One rollout: applies manifests, waits for their workloads, and shows why one fails."""

import json
import subprocess
import time
from typing import Any

NAMESPACE = "ticketing"
_IN_NAMESPACE = f"--namespace={NAMESPACE}"
_WAITED_FOR = ("deployment.apps/", "statefulset.apps/")  # CronJobs start at their own time
_SHOWN_PODS, _SHOWN_LINES = 5, 30


class RolloutFailed(Exception):
    """A kubectl command failed or a workload did not become ready; the text names it."""


def log(line: str) -> None:
    print(line, flush=True)  # kubectl writes to the same terminal


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Raises RolloutFailed."""
    done = subprocess.run(["kubectl", *arguments], input=stdin, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RolloutFailed(f"kubectl {' '.join(arguments[:3])}: exit status {done.returncode}")
    return done.stdout


def roll_out(manifests: str, timeout: int) -> int:
    """Apply the manifests and wait for every workload. Returns their number; raises RolloutFailed.

    Server-side apply tracks which fields came from here: a rollback removes those that the failed commit
    added, and keeps those that controllers set (replicas, certificates). It overwrites manual changes.
    """
    apply = ("apply", "--server-side", "--force-conflicts", "--filename=-", "--output=name")
    names = kubectl(*apply, stdin=manifests).split()
    workloads = [name for name in names if name.startswith(_WAITED_FOR)]
    log(f"Applied {len(names)} objects; waiting up to {timeout} s for {len(workloads)} workloads")
    _replace_stuck_pods()
    _wait(workloads, timeout)
    return len(workloads)


def _replace_stuck_pods() -> None:
    """Delete StatefulSet pods of an earlier revision that are not ready.

    After a failed rollout Kubernetes waits for such a pod forever and does not start the new revision.
    Source: "Forced rollback" in the Kubernetes documentation of StatefulSets.
    """
    for _ in range(30):
        items = _get("statefulsets,pods")
        sets = [item for item in items if item["kind"] == "StatefulSet"]
        if all(s["status"].get("observedGeneration", 0) >= s["metadata"]["generation"] for s in sets):
            break
        time.sleep(1)
    revisions = {each["metadata"]["name"]: each["status"].get("updateRevision") for each in sets}
    for pod in items:
        name, labels = pod["metadata"]["name"], pod["metadata"].get("labels", {})
        owners = [owner["name"] for owner in pod["metadata"].get("ownerReferences", [])]
        current = [revisions[owner] for owner in owners if owner in revisions]
        if current and labels.get("controller-revision-hash") not in current and not _is_ready(pod):
            log(f"Replacing {name}, which is stuck in an earlier rollout")
            kubectl("delete", "pod", name, _IN_NAMESPACE, "--wait=false")


def _wait(workloads: list[str], timeout: int) -> None:
    """Deployments first: they fail at their progress deadline, before a StatefulSet's wait times out."""
    started = time.monotonic()
    for workload in sorted(workloads):
        while True:
            remaining = max(1, round(started + timeout - time.monotonic()))
            command = ["kubectl", "rollout", "status", workload, _IN_NAMESPACE, f"--timeout={remaining}s"]
            done = subprocess.run(command, stderr=subprocess.PIPE, text=True)
            if done.returncode == 0:
                break
            # A Deployment that failed in an earlier rollout still reports that when this one starts.
            may_be_old = "exceeded its progress deadline" in done.stderr
            if not may_be_old or time.monotonic() - started > timeout / 10:
                raise RolloutFailed(f"{workload}: {done.stderr.strip() or 'kubectl rollout status failed'}")
            time.sleep(1)


def show_failures() -> None:
    """Print pods, warnings and the logs of pods that are not ready. Never raises."""
    try:
        log(kubectl("get", "pods", _IN_NAMESPACE, "--output=wide"))
        warnings = ("--field-selector=type=Warning", "--sort-by=.lastTimestamp")
        log("\n".join(kubectl("get", "events", _IN_NAMESPACE, *warnings).splitlines()[-_SHOWN_LINES:]))
        not_ready = [pod["metadata"]["name"] for pod in _get("pods") if not _is_ready(pod)]
    except RolloutFailed as failure:
        return log(f"The cluster does not show its pods: {failure}")
    for pod in not_ready[:_SHOWN_PODS]:
        log(f"\nThe last log lines of {pod}:")
        # --ignore-errors: a container that never started has no log.
        options = ("--all-containers", "--prefix", "--ignore-errors", f"--tail={_SHOWN_LINES}")
        subprocess.run(["kubectl", "logs", pod, _IN_NAMESPACE, *options], stderr=subprocess.STDOUT)


def _get(kinds: str) -> list[dict[str, Any]]:
    return list(json.loads(kubectl("get", kinds, _IN_NAMESPACE, "--output=json"))["items"])


def _is_ready(pod: dict[str, Any]) -> bool:
    """True if the pod is ready, or has completed."""
    status = pod["status"]
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
    return status.get("phase") == "Succeeded" or conditions.get("Ready") == "True"
