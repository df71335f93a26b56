"""How pip reaches its index from this machine, for the pip in a build: as mounted files, never in a layer."""

import ast
import subprocess
import sys
from pathlib import Path

_KEPT = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout", "default-timeout")
CERTIFICATES = "/etc/pip-ca.crt"  # where the Dockerfile mounts them


def secret_files(folder: Path) -> dict[str, Path]:
    """The build's secrets, by their id in the Dockerfile: none where pip needs no settings."""
    told = _settings()
    lines = [f"{name} = {value}" for name in _KEPT if (value := told.get(name))]
    files = {}
    if certificates := told.get("cert"):
        files["ca.crt"] = Path(certificates)
        lines.append(f"cert = {CERTIFICATES}")
    if lines:
        files["pip.conf"] = folder / "pip.conf"
        files["pip.conf"].write_text("\n".join(["[global]", *lines, ""]))
        files["pip.conf"].chmod(0o600)
    return files


def _settings() -> dict[str, str]:
    """By name, the environment's before those of files. Folders of this machine are left out."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True).stdout
    settings = {}
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        key, _, quoted = line.partition("=")
        values = str(ast.literal_eval(quoted)).split()
        settings[key.rpartition(".")[2]] = " ".join(v for v in values if not v.startswith("file:"))
    return settings
