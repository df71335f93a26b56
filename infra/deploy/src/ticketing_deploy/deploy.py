"""What the deployment workflow runs, and an operator by hand: brings a cluster to this commit, or back.

A rollout that fails is rolled back: to the commit that the namespace says was deployed before, by the
manifests and images of that commit. A rollback does not undo what was written to the databases, and leaves
what only the failed commit has: nothing here deletes an object that is no longer in the manifests.

Needs git with the whole history, kubectl, and of Python only its standard library. Safe to run again.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ticketing_deploy import manifests
from ticketing_deploy.images import ROOT
from ticketing_deploy.rollout import NAMESPACE, RolloutFailed, explain, kubectl, roll_out, say

OVERLAY = "infra/k8s-prod"
DEPLOYED = "ticketing.dev/deployed"
"""The annotation of the namespace that names the last commit whose rollout succeeded."""
_STILL_SERVING = "Pods that were ready and could not be replaced go on serving."


@dataclass(frozen=True)
class Deployment:
    commit: str
    earlier: str
    """The commit that ran until now; empty when nothing did."""
    registry: str
    overlay: str
    timeout: int
    """In seconds, for the rollout, and again for the way back."""


def main() -> None:
    arguments = _arguments()
    try:
        if arguments.command == "tags":
            matrix = [{"name": name, "tag": tag} for name, tag in manifests.tags().items()]
            return print(json.dumps({"include": matrix}))
        if arguments.command == "render":
            return print(manifests.render(arguments.registry, arguments.overlay), end="")
        rendered, deployment = _prepare(arguments.registry, arguments.overlay, arguments.timeout)
    except subprocess.CalledProcessError as error:
        sys.exit(f"Nothing was changed: {error}\n{error.stderr or ''}".rstrip())
    except (ValueError, OSError, RolloutFailed) as error:
        sys.exit(f"Nothing was changed: {error}")
    sys.exit(_apply(rendered, deployment))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m ticketing_deploy.deploy")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("tags", help="the images and their tags, as a matrix for GitHub")
    render = commands.add_parser("render", help="the manifests with exact images")
    apply = commands.add_parser("apply", help="roll them out, and back if that fails")
    for command in (render, apply):
        command.add_argument("--registry", required=True, help="where the images are")
        command.add_argument("--overlay", default=OVERLAY)
    apply.add_argument(
        "--timeout", type=int, default=600, help="seconds, for the rollout and for the way back"
    )
    return parser.parse_args()


def _prepare(registry: str, overlay: str, timeout: int) -> tuple[str, Deployment]:
    """All that can go wrong while nothing has been changed."""
    if _git("status", "--porcelain", "--", "infra"):
        raise ValueError("infra has changes that are in no commit, so nothing could ever come back to them")
    rendered = manifests.render(registry, overlay)
    context = kubectl("config", "current-context").strip()
    deployment = Deployment(_git("rev-parse", "HEAD"), _deployed(), registry, overlay, timeout)
    say(f"{context}: rolling out {deployment.commit}; until now: {deployment.earlier or 'nothing'}")
    return rendered, deployment


def _apply(rendered: str, deployment: Deployment) -> int:
    """Returns the exit status."""
    # A cancelled workflow ends its processes so; Ctrl-C does the same.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return _roll_out_or_back(rendered, deployment)
    except KeyboardInterrupt:
        say(
            "\nINTERRUPTED: the cluster goes on with what it was last told, and nobody waits for it. "
            f"{_STILL_SERVING} Next: run this again, or deploy {deployment.earlier or 'another commit'}."
        )
        return 1


def _roll_out_or_back(rendered: str, deployment: Deployment) -> int:
    commit = deployment.commit
    try:
        ready = roll_out(rendered, deployment.timeout)
    except RolloutFailed as failure:
        say(f"\nThe rollout of {commit} failed: {failure}\n")
        explain()
        _go_back(deployment)
        return 1
    try:
        kubectl("annotate", "namespace", NAMESPACE, "--overwrite", f"{DEPLOYED}={commit}")
    except RolloutFailed as failure:
        say(
            f"\nNOT NOTED: {commit} runs, but no later rollout could come back to it: {failure}. "
            "Next: run this again."
        )
        return 1
    say(f"\nDEPLOYED: {commit} runs; its {ready} workloads are ready.")
    return 0


def _go_back(deployment: Deployment) -> None:
    """If there is a way; ends with the line that says how things are now."""
    commit, earlier = deployment.commit, deployment.earlier
    if earlier in ("", commit):
        say(
            f"\nNOT ROLLED BACK: {commit} is not wholly up, and no other commit was deployed before. "
            f"{_STILL_SERVING} Next: mend what is shown above, and run this again."
        )
        return
    try:
        say(f"\nRolling back to {earlier}")
        roll_out(_render_at(earlier, deployment), deployment.timeout)
    except (RolloutFailed, OSError, subprocess.CalledProcessError) as failure:
        say(f"\nThe rollback failed: {failure}\n")
        explain()
        say(
            f"\nIN BETWEEN: {commit} failed, and the way back to {earlier} failed too. "
            f"{_STILL_SERVING} Next: mend what is shown above, and deploy either of them again."
        )
        return
    say(f"\nROLLED BACK: {earlier} runs again, all of it ready. Next: mend {commit} and deploy that.")


def _render_at(commit: str, deployment: Deployment) -> str:
    """By that commit's own code: it knows what the images were made from then."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        _git("worktree", "add", "--detach", str(tree), commit)
        try:
            options = ("--registry", deployment.registry, "--overlay", deployment.overlay)
            return subprocess.run(
                [sys.executable, "-m", "ticketing_deploy.deploy", "render", *options],
                cwd=tree,
                env={**os.environ, "PYTHONPATH": str(tree / "infra/deploy/src")},
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _deployed() -> str:
    path = DEPLOYED.replace(".", r"\.")
    wanted = f"--output=jsonpath={{.metadata.annotations.{path}}}"
    return kubectl("get", "namespace", NAMESPACE, "--ignore-not-found", wanted).strip()


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


if __name__ == "__main__":
    main()
