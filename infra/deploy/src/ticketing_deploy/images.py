"""The images: what each is made from, and the commit that names it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[4]
DOCKERFILE = "infra/docker/Dockerfile"

_PARTS = ("src", "pyproject.toml", "README.md")
"""Of a package; not its tests. (The README is in what is installed, as the package's description.)"""
_BUILT_BY = ("Dockerfile", "needs.py", "reload.py", "wheels.txt")


@dataclass(frozen=True)
class Image:
    """One image of ours, `ticketing/<name>` in the manifests."""

    name: str
    folder: str
    """The package that it runs, from the root of the repository."""
    module: str
    """What it runs by default is `python -m <module>.main`."""

    @property
    def repository(self) -> str:
        return f"ticketing/{self.name}"

    @property
    def made_from(self) -> list[str]:
        """All that can change it, as paths from the root of the repository."""
        packages = [f"{folder}/{part}" for folder in (self.folder, "common") for part in _PARTS]
        return [*packages, *(f"infra/docker/{name}" for name in _BUILT_BY), ".dockerignore"]


IMAGES = [
    Image(name, name, name) for name in ("auth", "tickets", "orders", "payments", "expiration", "client")
]
"""Those that run in production."""

STRIPE_STAND_IN = Image("stripe-stand-in", "infra/stripe-stand-in", "stripe_stand_in")
"""Runs beside them in development, so that nobody needs an account with Stripe."""


def tag(image: Image, commit: str = "HEAD") -> str:
    """The last commit that changed what the image is made from: the same content has the same tag.

    Needs the whole history. Raises subprocess.CalledProcessError where there is no git.
    """
    command = ["git", "log", "-1", "--format=%H", commit, "--", *image.made_from]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def is_changed(image: Image) -> bool:
    """Whether the work tree differs from its commit in what the image is made from."""
    command = ["git", "status", "--porcelain", "--", *image.made_from]
    return bool(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
