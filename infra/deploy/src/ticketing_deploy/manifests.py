"""The manifests of this commit: the overlay as kustomize renders it, each image at a tag that never moves."""

import re
import subprocess

from ticketing_deploy.images import IMAGES, ROOT, STRIPE_STAND_IN, tag

OURS = {image.name: image for image in (*IMAGES, STRIPE_STAND_IN)}
_IMAGE_LINE = re.compile(r"^(?P<before> *(?:- )?image: )(?P<image>\S+)$", re.MULTILINE)


def tags() -> dict[str, str]:
    """The tag of each image that runs in production. Raises ValueError."""
    _refuse_shallow_clone()
    return {image.name: _tag(image.name) for image in IMAGES}


def render(registry: str, overlay: str) -> str:
    """Raises ValueError for an image that could change under its tag, or whose tag git does not know.

    kustomize takes tags only from a kustomization.yaml. What it prints has each image on a line of its own:
    that is as easily edited, and the work tree stays as it is.
    """
    _refuse_shallow_clone()
    rendered = _output("kubectl", "kustomize", overlay)
    return _IMAGE_LINE.sub(lambda line: line["before"] + _exact(line["image"], registry), rendered)


def _exact(image: str, registry: str) -> str:
    repository, _, digest = image.partition("@")
    _, slash, last = repository.rpartition("/")
    name, _, version = last.partition(":")
    if slash and name in OURS:  # ticketing/auth, or where the overlay keeps it
        return f"{registry}/{name}:{_tag(name)}"
    if digest or version not in ("", "latest"):
        return image
    raise ValueError(f"{image}: an image needs a tag, and one that does not move")


def _tag(name: str) -> str:
    if found := tag(OURS[name]):
        return found
    raise ValueError(f"no commit has what the image {name} is made from")


def _refuse_shallow_clone() -> None:
    if _output("git", "rev-parse", "--is-shallow-repository").strip() == "true":
        # There, the oldest commit at hand seems to have changed everything.
        raise ValueError("tags need the whole history, and this clone is shallow: git fetch --unshallow")


def _output(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
