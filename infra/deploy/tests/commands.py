"""Runs the tools of the virtual environment, and git."""

import subprocess
import sys
from pathlib import Path

from ticketing_deploy.images import ROOT


def tool(name: str) -> Path:
    """The path of a program that a Python wheel installed."""
    return Path(sys.executable).with_name(name)


def check(name: str, *arguments: str) -> None:
    """Assert that a tool reports no findings."""
    done = subprocess.run([tool(name), *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def git(folder: Path, *arguments: str) -> str:
    """Run git in a test's repository. Returns its output."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@example.com", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
