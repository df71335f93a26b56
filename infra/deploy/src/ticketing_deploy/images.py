"""The container images, the commit that tags each, and the manifests with these tags."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[4]
DOCKERFILE = "infra/docker/Dockerfile"

_PACKAGE_SOURCES = ("src", "pyproject.toml", "README.md")  # the README is the package's description
_BUILD_SOURCES = ("Dockerfile", "needs.py", "reload.py", "wheels.txt")
_NOT_IN_IMAGES = ":(exclude)common/src/ticketing_common/testing"


@dataclass(frozen=True)
class Image:
    """The image `ticketing/<name>`, which runs the module of the package in `folder`."""

    name: str
    folder: str
    module: str
    services: tuple[str, ...] = ()  # the folders of services that it also contains

    @property
    def sources(self) -> list[str]:
        """Every file and folder that the image is built from, relative to the repository's root."""
        folders = (self.folder, "common", *self.services)
        packages = [f"{folder}/{part}" for folder in folders for part in _PACKAGE_SOURCES]
        return [*packages, *(f"infra/docker/{name}" for name in _BUILD_SOURCES), ".dockerignore"]


SERVICES = [
    Image(name, name, name) for name in ("auth", "tickets", "orders", "payments", "expiration", "client")
]
OPERATIONS = Image(
    "operations", "infra/operations", "ticketing_operations", ("tickets", "orders", "payments", "expiration")
)
IMAGES = [*SERVICES, OPERATIONS]
"""The images that production runs."""

STRIPE_STAND_IN = Image("stripe-stand-in", "infra/stripe-stand-in", "stripe_stand_in")
"""Replaces Stripe in development, so that no account is needed."""

ALL = {image.name: image for image in (*IMAGES, STRIPE_STAND_IN)}
_IMAGE_LINE = re.compile(rf"^( *(?:- )?image: )\S*/({'|'.join(ALL)})(?::\S+)?$", re.MULTILINE)


def tag(image: Image, commit: str = "HEAD") -> str:
    """The last commit that changed the image's sources: unchanged sources keep their tag.

    Raises ValueError in a shallow clone, and subprocess.CalledProcessError outside of a git repository.
    """
    if run("git", "rev-parse", "--is-shallow-repository") == "true":
        # The oldest commit of a shallow clone appears to change every file.
        raise ValueError("tags need the full history, but this clone is shallow: run git fetch --unshallow")
    return run("git", "log", "-1", "--format=%H", commit, "--", *image.sources, _NOT_IN_IMAGES)


def revision(image: Image) -> str:
    """The image's tag; with `-changed` if its sources have uncommitted changes; `unknown` without git."""
    try:
        changes = run("git", "status", "--porcelain", "--", *image.sources, _NOT_IN_IMAGES)
        return tag(image) + ("-changed" if changes else "")
    except (OSError, ValueError, subprocess.CalledProcessError):
        return "unknown"


def render(registry: str, overlay: str) -> str:
    """The overlay as kustomize renders it, each of our images at its tag.

    kustomize reads tags only from a kustomization.yaml. This edits its output, so the work tree stays clean.
    """
    rendered = run("kubectl", "kustomize", overlay) + "\n"
    return _IMAGE_LINE.sub(lambda line: f"{line[1]}{registry}/{line[2]}:{tag(ALL[line[2]])}", rendered)


def run(*command: str) -> str:
    """Run a command in the repository's root. Returns its output."""
    return subprocess.check_output(command, cwd=ROOT, text=True).strip()
