"""`make images`: builds images and smoke-tests each."""

import argparse
import ast
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from ticketing_common.testing.servers import ServerUnavailable
from ticketing_deploy import engines, smoke_test
from ticketing_deploy.engines import Engine
from ticketing_deploy.images import ALL, DOCKERFILE, OPERATIONS, ROOT, Image, revision

CERTIFICATES = "/etc/pip-ca.crt"  # the Dockerfile mounts them here
_PIP_SETTINGS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")


def main() -> None:
    arguments = _parse_arguments()
    try:
        engine, base = arguments.engine or engines.choose(), arguments.base
        if base == "debootstrap":
            engine, base = "buildah", "localhost/python-of-debian:bookworm"
            _run("infra/docker/debootstrap.sh", base)
        built = {}
        for image in [ALL[name] for name in arguments.images or ALL]:
            built[image] = f"ticketing/{image.name}:{arguments.tag or revision(image)}"
            _build(engine, image, built[image], arguments.target, base)
        sys.exit(smoke_test.run_all(engine, built, arguments.target))
    except (ServerUnavailable, subprocess.CalledProcessError) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m ticketing_deploy.build", description=__doc__)
    option = parser.add_argument
    option("images", nargs="*", metavar="IMAGE", help=f"{', '.join(ALL)}; default: all")
    option("--target", choices=["runtime", "dev"], default="runtime")
    option("--tag", help="default: the last commit that changed the image's sources")
    option("--engine", choices=["docker", "buildah"], help="default: docker if its daemon answers")
    option("--base", help="another base image; `debootstrap` makes one without a registry, for buildah")
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.images if name not in ALL]:
        parser.error(f"unknown image {', '.join(unknown)}: choose from {', '.join(ALL)}")
    return arguments


def _build(engine: Engine, image: Image, reference: str, target: str, base: str | None) -> None:
    arguments = {"SERVICE": image.module, "FOLDER": image.folder, "REVISION": revision(image)}
    project = tomllib.loads((ROOT / image.folder / "pyproject.toml").read_text())["project"]
    arguments["LICENSES"] = project.get("license", "MIT")
    if repository := os.environ.get("GITHUB_REPOSITORY"):
        arguments["SOURCE"] = f"{os.environ['GITHUB_SERVER_URL']}/{repository}"
    arguments |= {"BASE": base} if base else {}
    options = [
        f"--file={DOCKERFILE}",
        f"--target={'operations' if image is OPERATIONS else target}",
        f"--tag={reference}",
    ]
    options += [f"--build-arg={name}={value}" for name, value in arguments.items()]
    with tempfile.TemporaryDirectory() as folder:
        secrets = write_pip_settings(Path(folder))
        options += [f"--secret=id={name},src={path}" for name, path in secrets.items()]
        _run(*engines.BUILD[engine], *options, ".")


def write_pip_settings(folder: Path) -> dict[str, Path]:
    """Write this machine's pip settings as secrets of the build, which enter no layer. Returns them by id."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    settings = {}
    for line in sorted(listed, key=lambda line: line.startswith(":env:")):  # variables override files
        name, _, quoted = line.partition("=")
        values = str(ast.literal_eval(quoted)).split()  # without folders, which a build does not see
        settings[name.rpartition(".")[2]] = " ".join(v for v in values if not v.startswith("file:"))
    lines = [f"{name} = {value}" for name in _PIP_SETTINGS if (value := settings.get(name))]
    files = {}
    if certificates := settings.get("cert"):
        files["ca.crt"] = Path(certificates)
        lines.append(f"cert = {CERTIFICATES}")
    if lines:
        files["pip.conf"] = folder / "pip.conf"
        files["pip.conf"].write_text("\n".join(["[global]", *lines, ""]))
        files["pip.conf"].chmod(0o600)  # an index URL may contain a password
    return files


def _run(*command: str) -> None:
    print(f"+ {' '.join(command)}", flush=True)
    if subprocess.run(command, cwd=ROOT).returncode:
        hint = "If the base image cannot be pulled, run `make images BASE=debootstrap`."
        sys.exit(f"{command[0]} failed; its output is above. {hint}")


if __name__ == "__main__":
    main()
