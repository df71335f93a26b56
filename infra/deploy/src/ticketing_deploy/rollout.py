"""One rollout: manifests given to the cluster, waited for, and explained when they fail."""

import json
import subprocess
import time
from typing import Any

NAMESPACE = "ticketing"
_WAITED_FOR = ("deployment.apps/", "statefulset.apps/")  # not jobs: they run when it is their time
_SHOWN_PODS = 5
_SHOWN_LINES = 30


class RolloutFailed(Exception):
    """The cluster does not run what it was told to; the text says what was seen."""


def say(line: str) -> None:
    print(line, flush=True)  # kubectl writes to the same terminal


def kubectl(*arguments: str, stdin: str | None = None) -> str:
    """Raises RolloutFailed."""
    done = subprocess.run(["kubectl", *arguments], input=stdin, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RolloutFailed(f"kubectl {' '.join(arguments[:3])}: exit status {done.returncode}")
    return done.stdout


def roll_out(manifests: str, timeout: int) -> int:
    """Bring the cluster to these manifests. Returns how many workloads are ready; raises RolloutFailed.

    Applied by the server, which knows what fields came from here: a rollback takes out those that the failed
    commit had added, and leaves alone what others set (replicas, certificates). Forced, since a field that is
    written here and was changed by hand should be as it is written here.
    """
    apply = ("apply", "--server-side", "--force-conflicts", "--filename=-", "--output=name")
    names = kubectl(*apply, stdin=manifests).split()
    workloads = [name for name in names if name.startswith(_WAITED_FOR)]
    say(f"Applied {len(names)} objects; waiting for {len(workloads)} of them, {timeout} s at most")
    _replace_stuck_pods()
    _wait(workloads, timeout)
    return len(workloads)


def _replace_stuck_pods() -> None:
    """Delete each pod of a StatefulSet that is neither ready nor what is wanted now.

    After a failed rollout Kubernetes waits for such a pod for ever, and never begins what would mend it:
    "forced rollback" in its documentation of StatefulSets.
    """
    for _ in range(30):
        items = _get("statefulsets,pods")
        sets = {item["metadata"]["name"]: item for item in items if item["kind"] == "StatefulSet"}
        if all(map(_observed, sets.values())):
            break
        time.sleep(1)
    for pod in items:
        name, labels = pod["metadata"]["name"], pod["metadata"].get("labels", {})
        owners = pod["metadata"].get("ownerReferences", [])
        wanted = [
            sets[owner["name"]]["status"].get("updateRevision") for owner in owners if owner["name"] in sets
        ]
        if wanted and labels.get("controller-revision-hash") not in wanted and not _ready(pod):
            say(f"{name} is stuck in an earlier rollout: replacing it")
            kubectl("delete", "pod", name, f"--namespace={NAMESPACE}", "--wait=false")


def _wait(workloads: list[str], timeout: int) -> None:
    """Raises RolloutFailed as soon as one has failed."""
    # A Deployment that is out of time in its first moments was so before, and is being tried again.
    stale_until = time.monotonic() + timeout / 10
    waiting = {workload: _rollout_status(workload, timeout) for workload in workloads}
    try:
        while waiting:
            for workload in [name for name, process in waiting.items() if process.poll() is not None]:
                process = waiting.pop(workload)
                said = process.communicate()[1].strip()
                if "exceeded its progress deadline" in said and time.monotonic() < stale_until:
                    time.sleep(1)
                    waiting[workload] = _rollout_status(workload, timeout)
                elif process.returncode:
                    raise RolloutFailed(f"{workload}: {said or 'kubectl rollout status failed'}")
            time.sleep(0.1)
    finally:
        for process in waiting.values():
            process.terminate()
            process.communicate()


def _rollout_status(workload: str, timeout: int) -> subprocess.Popen[str]:
    command = ["kubectl", "rollout", "status", workload, f"--namespace={NAMESPACE}", f"--timeout={timeout}s"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def explain() -> None:
    """Show why pods are not ready: a few screens at most, and never fails."""
    here = f"--namespace={NAMESPACE}"
    try:
        say(kubectl("get", "pods", here, "--output=wide"))
        warnings = ("--field-selector=type=Warning", "--sort-by=.lastTimestamp")
        say("\n".join(kubectl("get", "events", here, *warnings).splitlines()[-_SHOWN_LINES:]))
        unready = [pod["metadata"]["name"] for pod in _get("pods") if not _ready(pod)]
    except RolloutFailed as failure:
        return say(f"The cluster does not say why: {failure}")
    for pod in unready[:_SHOWN_PODS]:
        say(f"\nThe last lines of {pod}:")
        # A container that never started has none; the others' are worth showing.
        some = ("--all-containers", "--prefix", "--ignore-errors", f"--tail={_SHOWN_LINES}")
        subprocess.run(["kubectl", "logs", pod, here, *some], stderr=subprocess.STDOUT)


def _get(kinds: str) -> list[dict[str, Any]]:
    found = json.loads(kubectl("get", kinds, f"--namespace={NAMESPACE}", "--output=json"))
    items: list[dict[str, Any]] = found["items"]
    return items


def _observed(item: dict[str, Any]) -> bool:
    return bool(item["status"].get("observedGeneration", 0) >= item["metadata"]["generation"])


def _ready(pod: dict[str, Any]) -> bool:
    """Or done with what it had to do."""
    status = pod["status"]
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
    return status.get("phase") == "Succeeded" or conditions.get("Ready") == "True"
