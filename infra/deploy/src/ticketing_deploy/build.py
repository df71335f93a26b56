"""`make images`: build the images, and try each of them."""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from ticketing_deploy import debootstrap, engines, trial
from ticketing_deploy.engines import Engine, EngineError
from ticketing_deploy.images import DOCKERFILE, IMAGES, ROOT, STRIPE_STAND_IN, Image, is_changed, tag
from ticketing_deploy.pip_settings import secret_files

ALL = {image.name: image for image in (*IMAGES, STRIPE_STAND_IN)}
_NOT_PULLED = "Was it that the base image cannot be pulled here? `make images BASE=debootstrap` makes one."


def main() -> None:
    arguments = _arguments()
    try:
        engine = engines.choose(arguments.engine)
        base = _base(arguments.base, engine)
        chosen = [ALL[name] for name in arguments.images or ALL]
        commits = {image: _commit(image) for image in chosen}
        built = {image: f"{image.repository}:{arguments.tag or commits[image]}" for image in chosen}
        with tempfile.TemporaryDirectory() as folder:
            secrets = secret_files(Path(folder))
            for image, reference in built.items():
                told = _build_arguments(image, commits[image], base)
                _build(engine, reference, arguments.target, told, secrets)
        sys.exit(trial.try_all(engine, built, arguments.target))
    except EngineError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ticketing_deploy.build", description=__doc__)
    parser.add_argument("images", nargs="*", metavar="IMAGE", help=f"{', '.join(ALL)}; all, if none is named")
    parser.add_argument("--target", choices=["runtime", "dev"], default="runtime")
    parser.add_argument("--tag", help="in place of the last commit that changed what the image is made from")
    parser.add_argument("--engine", choices=["docker", "buildah"], help="docker, if its daemon answers")
    parser.add_argument("--base", help="another base image; `debootstrap` makes one where none can be pulled")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.images if name not in ALL]:
        parser.error(f"there is no image {', '.join(unknown)}: choose from {', '.join(ALL)}")
    return arguments


def _base(wanted: str | None, engine: Engine) -> str | None:
    if wanted != "debootstrap":
        return wanted
    if engine == "docker":
        raise EngineError("debootstrap makes a base for buildah only: add --engine buildah (ENGINE=buildah).")
    return debootstrap.base(_say)


def _commit(image: Image) -> str:
    try:
        commit = tag(image)
        return f"{commit}-changed" if commit and is_changed(image) else commit or "unknown"
    except (OSError, subprocess.CalledProcessError):  # no git, or not its work tree
        return "unknown"


def _build_arguments(image: Image, commit: str, base: str | None) -> dict[str, str]:
    project = tomllib.loads((ROOT / image.folder / "pyproject.toml").read_text())["project"]
    server, repository = (os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY"))
    return {
        "SERVICE": image.module,
        "FOLDER": image.folder,
        "REVISION": commit,
        "LICENSES": project.get("license", "MIT"),
        **({"SOURCE": f"{server}/{repository}"} if repository else {}),
        **({"BASE": base} if base else {}),
    }


def _build(
    engine: Engine, reference: str, target: str, told: dict[str, str], secrets: dict[str, Path]
) -> None:
    options = [
        *("--file", DOCKERFILE, "--target", target, "--tag", reference),
        *(option for key, value in told.items() for option in ("--build-arg", f"{key}={value}")),
    ]
    _say(f"Building {reference}, {target}, by {engine}")
    began = time.monotonic()
    done = subprocess.run(
        engines.build_command(engine, options, secrets),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if done.returncode != 0:
        hint = "" if "BASE" in told else _NOT_PULLED
        raise EngineError(f"{done.stdout}\n{reference} could not be built: {engine} said so above. {hint}")
    _say(f"  took {time.monotonic() - began:.0f} s")


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
