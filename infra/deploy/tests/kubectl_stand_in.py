"""A kubectl in front of no cluster: `kustomize` is the real one's, the rest is answered from a folder.

The folder, $CLUSTER, holds what was asked (`calls`, one JSON a line) and what is so: `applied-<n>.yaml`,
`annotation`, and what a test wrote there: `broken`, words that make the rollout of what has them fail;
`refused`, words that the server does not take; `slow`, when rollouts do not end; `late`, when one ran out of
time before; `pods.json`, what there is besides.
"""

import json
import os
import sys
import time
from pathlib import Path

import yaml

CLUSTER = Path(os.environ["CLUSTER"])
ARGUMENTS = sys.argv[1:]


def told(name: str) -> list[str]:
    file = CLUSTER / name
    return file.read_text().split() if file.exists() else []


def applied() -> list[Path]:
    return sorted(CLUSTER.glob("applied-*.yaml"))


def apply() -> None:
    manifests = sys.stdin.read()
    if any(word in manifests for word in told("refused")):
        sys.exit("The Deployment is invalid")
    (CLUSTER / f"applied-{len(applied())}.yaml").write_text(manifests)
    groups = {"Deployment": ".apps", "StatefulSet": ".apps", "CronJob": ".batch"}
    for item in yaml.safe_load_all(manifests):
        print(f"{item['kind'].lower()}{groups.get(item['kind'], '')}/{item['metadata']['name']}")


def rollout_status(workload: str) -> None:
    name = workload.partition("/")[2]
    (item,) = (
        item
        for item in yaml.safe_load_all(applied()[-1].read_text())
        if item["metadata"]["name"] == name and item["kind"].lower() in workload
    )
    if (CLUSTER / "slow").exists():
        time.sleep(60)
    if (CLUSTER / "late").exists():
        (CLUSTER / "late").unlink()
        sys.exit(f'error: deployment "{name}" exceeded its progress deadline')
    if any(word in json.dumps(item) for word in told("broken")):
        sys.exit("error: timed out waiting for the condition")
    print(f'"{name}" successfully rolled out')


def pods() -> None:
    found = CLUSTER / "pods.json"
    print(found.read_text() if found.exists() else '{"items": []}')


def main() -> None:
    if ARGUMENTS[0] == "kustomize":
        os.execv(os.environ["REAL_KUBECTL"], ["kubectl", *ARGUMENTS])
    with (CLUSTER / "calls").open("a") as calls:
        calls.write(json.dumps(ARGUMENTS) + "\n")
    match ARGUMENTS:
        case ["config", *_]:
            print("stand-in")
        case ["get", "namespace", *_]:
            print(" ".join(told("annotation")), end="")
        case ["annotate", *_, annotation]:
            (CLUSTER / "annotation").write_text(annotation.partition("=")[2])
        case ["apply", *_]:
            apply()
        case ["rollout", "status", workload, *_]:
            rollout_status(workload)
        case ["get", _, _, "--output=json"]:
            pods()
        case ["get", "events", *_]:
            print("Back-off pulling image")
        case ["logs", pod, *_]:
            print(f"{pod} says why")


if __name__ == "__main__":
    main()
