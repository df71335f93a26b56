"""A base image for machines that can pull none: Debian's own Python, laid out as the official image's is.

It is for trying images out: it has Debian's last point release, without the security updates since.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from ticketing_deploy.engines import INSTALL, EngineError, output

IMAGE = "localhost/python-of-debian:bookworm"
_PACKAGES = "python3,python3-venv,ca-certificates"
_NOT_NEEDED = ["usr/share/doc", "usr/share/man", "usr/share/locale", "var/lib/apt/lists", "var/cache/apt"]


def base(say: Callable[[str], None]) -> str:
    """The image's name. Made once, in a minute or two: `buildah rmi` it to have it made anew."""
    if output("buildah", "images", "--quiet", f"--filter=reference={IMAGE}"):
        return IMAGE
    if not shutil.which("debootstrap"):
        raise EngineError(f"debootstrap is missing: run `{INSTALL}`.")
    if os.geteuid() != 0:
        raise EngineError("debootstrap needs root: run this by sudo, or where the base image can be pulled.")
    say(f"Making {IMAGE} by debootstrap, once: about two minutes")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = Path(folder, "root")
        _debootstrap(root)
        for path in _NOT_NEEDED:
            shutil.rmtree(root / path)
        for name in ("python", "python3"):
            (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")
        _commit(root)
    return IMAGE


def _debootstrap(root: Path) -> None:
    root.mkdir()
    root.chmod(0o755)
    command = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-15:])
        raise EngineError(
            f"debootstrap failed. It needs a mirror of Debian, and its keyring. It said:\n{last}"
        )


def _commit(root: Path) -> None:
    name = output("buildah", "from", "scratch")
    try:
        output("buildah", "add", "--quiet", name, str(root), "/")
        output(
            *("buildah", "config", "--env=PATH=/usr/local/bin:/usr/bin:/bin", "--env=LANG=C.UTF-8"),
            *("--cmd=python3", name),
        )
        output("buildah", "commit", "--quiet", name, IMAGE)
    finally:
        output("buildah", "rm", name)
