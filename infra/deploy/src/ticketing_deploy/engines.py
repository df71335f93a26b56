"""Builds and runs images with docker or, without a daemon, with buildah."""

import contextlib
import json
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from ticketing_deploy.images import run

Engine = Literal["docker", "buildah"]

BUILD = {
    "docker": ["docker", "build"],
    # buildah's own format has no HEALTHCHECK; without --layers it builds each shared stage again.
    "buildah": ["buildah", "bud", "--isolation=chroot", "--format=docker", "--layers"],
}


def choose() -> Engine:
    """docker if its daemon answers, else buildah."""
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        return "docker"
    if not shutil.which("buildah"):
        sys.exit("No docker daemon answers: start one, or run `apt-get install buildah debootstrap`.")
    return "buildah"


@contextlib.contextmanager
def container(engine: Engine, image: str) -> Iterator[str]:
    """The name of a container of the image, which is removed at the end."""
    name = f"ticketing-smoke-test-{secrets.token_hex(4)}"
    try:
        if engine == "buildah":
            run("buildah", "from", "--pull-never", "--name", name, image)
        yield name
    finally:
        remove = ["docker", "rm", "--force", name] if engine == "docker" else ["buildah", "rm", name]
        subprocess.run(remove, capture_output=True)


def run_command(engine: Engine, image: str, name: str, variables: dict[str, str]) -> list[str]:
    """The start of a command that runs a program in the container, on the host's network."""
    environment = [f"--env={key}={value}" for key, value in variables.items()]
    if engine == "docker":
        options = [f"--name={name}", "--network=host", "--read-only", "--tmpfs=/tmp", "--entrypoint="]
        return ["docker", "run", "--rm", *options, *environment, image]
    return ["buildah", "run", "--isolation=chroot", *environment, name, "--"]


def default_command(engine: Engine, image: str) -> tuple[list[str], list[str]]:
    """The image's entrypoint and command."""
    if engine == "docker":
        config = json.loads(run("docker", "image", "inspect", image))[0]["Config"]
    else:
        config = json.loads(run("buildah", "inspect", "--type=image", image))["OCIv1"]["config"]
    return config.get("Entrypoint") or [], config["Cmd"]


def main_process(engine: Engine, client: int) -> int:
    """The process to send SIGTERM to: docker's client forwards it, buildah's kills its container instead.

    Raises ProcessLookupError if the process has exited.
    """
    pid = client
    while engine == "buildah" and Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"buildah"):
        # Linux lists a child under the thread that started it.
        threads = Path(f"/proc/{pid}/task").glob("*/children")
        if not (children := " ".join(path.read_text() for path in threads).split()):
            raise ProcessLookupError
        pid = int(children[0])
    return pid
