"""The programs that these tests run: those of the virtual environment, and git."""

import subprocess
import sys
from pathlib import Path

from ticketing_deploy.images import ROOT


def tool(name: str) -> Path:
    """A program that came as a wheel."""
    return Path(sys.executable).with_name(name)


def check(name: str, *arguments: str) -> None:
    """Such a program finds nothing wrong, or its findings are shown."""
    done = subprocess.run([tool(name), *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def git(folder: Path, *arguments: str) -> str:
    """What git says, in a repository of a test's own."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
