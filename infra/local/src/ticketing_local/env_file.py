"""Files of KEY=value lines that a shell can read (`set -a; . file`) and only their owner may."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Write all or nothing: a reader never sees half a file."""
    half = path.with_name(path.name + ".new")
    half.unlink(missing_ok=True)
    text = "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
    with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    half.replace(path)


def read_env_file(path: Path) -> dict[str, str]:
    lines = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {key: shlex.split(value)[0] if value else "" for key, value in lines}
