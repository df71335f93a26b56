"""What builds and runs images here: docker where its daemon answers, else buildah, which needs none."""

import contextlib
import json
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

Engine = Literal["docker", "buildah"]

INSTALL = "apt-get install buildah debootstrap"


class EngineError(RuntimeError):
    """An image cannot be built or run; the message says what to do about it."""


def choose(wanted: Engine | None = None) -> Engine:
    if wanted and not shutil.which(wanted):
        raise EngineError(f"There is no {wanted} on PATH.")
    if wanted:
        return wanted
    if shutil.which("docker") and subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        return "docker"
    if shutil.which("buildah"):
        return "buildah"
    raise EngineError(f"No docker daemon answers, and there is no buildah: start one, or run `{INSTALL}`.")


def build_command(engine: Engine, options: list[str], secret_files: dict[str, Path]) -> list[str]:
    """Options are those that the engines have in common; the build context is the working directory."""
    mounts = [
        option for name, path in secret_files.items() for option in ("--secret", f"id={name},src={path}")
    ]
    if engine == "docker":
        return ["docker", "build", "--progress=plain", *mounts, *options, "."]
    # Its own format cannot hold a HEALTHCHECK, and without --layers it would build each shared stage anew.
    return [*("buildah", "bud", "--isolation=chroot", "--format=docker", "--layers"), *mounts, *options, "."]


def size(engine: Engine, image: str) -> str:
    # buildah has a line for each name of the same image.
    return output(engine, "images", "--format={{.Size}}", image).partition("\n")[0]


@contextlib.contextmanager
def container(engine: Engine, image: str) -> Iterator[str]:
    """The name for a container of the image, which is gone at the end whatever became of it."""
    name = f"ticketing-trial-{secrets.token_hex(4)}"
    try:
        if engine == "buildah":
            output("buildah", "from", "--pull-never", "--name", name, image)
        yield name
    finally:
        remove = ["docker", "rm", "--force", name] if engine == "docker" else ["buildah", "rm", name]
        subprocess.run(remove, capture_output=True)


def run_command(engine: Engine, image: str, name: str, told: dict[str, str], command: list[str]) -> list[str]:
    """What runs the command, or the image's own for [], as the image's user in the host's network."""
    environment = [f"--env={key}={value}" for key, value in told.items()]
    if engine == "docker":
        sealed = ["--network=host", "--read-only", "--tmpfs=/tmp"]
        return ["docker", "run", "--rm", f"--name={name}", *sealed, *environment, image, *command]
    # It knows neither read-only roots nor the image's own command.
    config = json.loads(output("buildah", "inspect", "--type=image", image))["OCIv1"]["config"]
    whole = [*config.get("Entrypoint", []), *(command or config["Cmd"])]
    return ["buildah", "run", "--isolation=chroot", *environment, name, "--", *whole]


def look_command(engine: Engine, image: str, name: str, script: str) -> list[str]:
    """What runs a Python script as the image's user, without the image's own command."""
    python = ["python", "-c", script]
    if engine == "docker":
        return ["docker", "run", "--rm", f"--name={name}", "--entrypoint=", image, *python]
    return ["buildah", "run", "--isolation=chroot", name, "--", *python]


def who_hears_signals(engine: Engine, client: int) -> int:
    """The process to tell to stop: docker's client passes a signal on, buildah's kills what it runs.

    Raises ProcessLookupError if that is no more.
    """
    pid = client
    while engine == "buildah" and Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"buildah"):
        # A child is listed at the thread that made it.
        lists = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        children = [int(child) for one in lists for child in one]
        if not children:
            raise ProcessLookupError
        pid = children[0]
    return pid


def output(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise EngineError(f"{command[0]} is missing: run `{INSTALL}`.") from error
    except subprocess.CalledProcessError as error:
        raise EngineError(f"`{' '.join(command)}` failed: {error.stderr.strip()}") from error
    return done.stdout.strip()
