"""Deploys this commit to the cluster of kubectl's context, and rolls back if that fails.

The namespace records the last commit that was deployed successfully. A rollback deploys that commit again,
with its own manifests and images. It reverts nothing in databases, and deletes no objects. Idempotent.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from ticketing_deploy.images import IMAGES, render, run, tag
from ticketing_deploy.rollout import NAMESPACE, RolloutFailed, kubectl, log, roll_out, show_failures

ANNOTATION = "ticketing.dev/deployed"  # of the namespace: the last commit that was deployed successfully
_PATH = r"{.metadata.annotations.ticketing\.dev/deployed}"
_STILL_SERVING = "Pods that were ready and could not be replaced continue to serve."


def main() -> None:
    arguments = _parse_arguments()
    try:
        if arguments.command == "tags":
            return print(json.dumps({"include": [{"name": i.name, "tag": tag(i)} for i in IMAGES]}))
        rendered = render(arguments.registry, arguments.overlay)
        if arguments.command == "render":
            return print(rendered, end="")
        if run("git", "status", "--porcelain", "--", "infra"):
            raise ValueError("infra has uncommitted changes, which a later rollback could not restore")
        context = kubectl("config", "current-context").strip()
        commit = run("git", "rev-parse", "HEAD")
        previous = kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", f"--output=jsonpath={_PATH}")
    except (ValueError, OSError, RolloutFailed, subprocess.CalledProcessError) as error:
        sys.exit(f"Nothing was changed: {error}")
    log(f"{context}: rolling out {commit}; currently deployed: {previous or 'nothing'}")
    # GitHub cancels a workflow with SIGTERM. Handle it like Ctrl-C, which background jobs of a shell ignore.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(_roll_out_or_back(rendered, commit, previous, arguments))
    except KeyboardInterrupt:
        log(
            "\nINTERRUPTED: the cluster keeps the manifests applied last; nothing waits for their rollout. "
            f"{_STILL_SERVING} Next: run this again, or deploy {previous or 'another commit'}."
        )
        sys.exit(1)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m ticketing_deploy.deploy")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("tags", help="print the images and their tags, as a matrix for GitHub Actions")
    rendering = commands.add_parser("render", help="print the manifests, with exact image tags")
    applying = commands.add_parser("apply", help="roll out, and roll back if that fails")
    for command in (rendering, applying):
        command.add_argument("--registry", required=True, help="the registry that has the images")
        command.add_argument("--overlay", default="infra/k8s-prod")
    applying.add_argument("--timeout", type=int, default=600, help="seconds, for each of the two")
    return parser.parse_args()


def _roll_out_or_back(rendered: str, commit: str, previous: str, arguments: argparse.Namespace) -> int:
    """Returns the exit status. The last line printed describes the resulting state."""
    try:
        ready = roll_out(rendered, arguments.timeout)
    except RolloutFailed as failure:
        log(f"\nThe rollout of {commit} failed: {failure}\n")
        show_failures()
        log(_roll_back(commit, previous, arguments))
        return 1
    try:
        kubectl("annotate", "namespace", NAMESPACE, "--overwrite", f"{ANNOTATION}={commit}")
    except RolloutFailed as failure:
        log(
            f"\nNOT RECORDED: {commit} runs, but no rollback can restore it: {failure}. Next: run this again."
        )
        return 1
    log(f"\nDEPLOYED: {commit} runs; its {ready} workloads are ready.")
    return 0


def _roll_back(commit: str, previous: str, arguments: argparse.Namespace) -> str:
    """Deploy the previous commit. Returns a description of the resulting state."""
    if previous in ("", commit):
        return (
            f"\nNOT ROLLED BACK: {commit} is not completely ready, and no other commit was deployed before. "
            f"{_STILL_SERVING} Next: fix the failure shown above, and run this again."
        )
    try:
        log(f"\nRolling back to {previous}")
        roll_out(_render_at(previous, arguments), arguments.timeout)
    except (RolloutFailed, OSError, subprocess.CalledProcessError) as failure:
        log(f"\nThe rollback failed: {failure}\n")
        show_failures()
        return (
            f"\nROLLBACK FAILED: neither {commit} nor {previous} is completely ready. "
            f"{_STILL_SERVING} Next: fix the failure shown above, and deploy either commit again."
        )
    return f"\nROLLED BACK: {previous} runs again and is ready. Next: fix {commit} and deploy the fix."


def _render_at(commit: str, arguments: argparse.Namespace) -> str:
    """Render with that commit's own code, which has the sources of its images."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        run("git", "worktree", "add", "--detach", str(tree), commit)
        try:
            command = [sys.executable, "-m", "ticketing_deploy.deploy", "render"]
            command += ["--registry", arguments.registry, "--overlay", arguments.overlay]
            environment = {**os.environ, "PYTHONPATH": str(tree / "infra/deploy/src")}
            return subprocess.check_output(command, cwd=tree, env=environment, text=True)
        finally:
            run("git", "worktree", "remove", "--force", str(tree))


if __name__ == "__main__":
    main()
