"""A kubectl without a cluster: runs the real `kustomize`, and answers other commands from files in a folder.

The folder is $CLUSTER. This script writes to it: `calls`, the arguments of each call as a line of JSON;
`applied-<n>.yaml`; and `annotation`. Tests write to it: `broken`, words in manifests whose rollout fails;
`refused`, words in manifests that the server rejects; `slow`, so that rollouts do not end; `late`, so that
the first rollout reports an old deadline; `pods.json`, the pods and StatefulSets.
"""

import json
import os
import sys
import time
from pathlib import Path

import yaml

CLUSTER = Path(os.environ["CLUSTER"])
ARGUMENTS = sys.argv[1:]


def words(name: str) -> list[str]:
    file = CLUSTER / name
    return file.read_text().split() if file.exists() else []


def applied() -> list[Path]:
    return sorted(CLUSTER.glob("applied-*.yaml"))


def apply() -> None:
    manifests = sys.stdin.read()
    if any(word in manifests for word in words("refused")):
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
    if any(word in json.dumps(item) for word in words("broken")):
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
            print(" ".join(words("annotation")), end="")
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
            print(f"log line of {pod}")


if __name__ == "__main__":
    main()
