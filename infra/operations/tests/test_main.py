"""python -m ticketing_operations: its usage, and the help of each command."""

import os
import subprocess
import sys

import pytest

COMMANDS = ["backup", "dead-letters", "rebuild", "resync", "unsubscribe"]


def run(*arguments):
    """Runs the program without any of its environment variables."""
    return subprocess.run(
        [sys.executable, "-m", "ticketing_operations", *arguments],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("arguments", [[], ["unknown"]])
def test_unknown_command_prints_the_usage_and_exits_with_2(arguments):
    result = run(*arguments)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("usage: python -m ticketing_operations ")
    assert all(command in result.stderr for command in COMMANDS)


@pytest.mark.parametrize(
    "command",
    [
        *([command] for command in COMMANDS),
        *(["backup", command] for command in ("dump", "verify", "restore")),
        *(["dead-letters", command] for command in ("list", "replay")),
    ],
    ids=" ".join,
)
def test_help_of_a_command_needs_no_environment_variables(command):
    result = run(*command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith(f"usage: python -m ticketing_operations {' '.join(command)} ")


@pytest.mark.parametrize("command", COMMANDS)
def test_command_without_its_arguments_prints_its_usage_and_exits_with_2(command):
    result = run(command)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"usage: python -m ticketing_operations {command} ")


def test_command_without_its_environment_variables_names_them_and_exits_with_1():
    result = run("dead-letters", "replay")
    assert (result.returncode, result.stdout) == (1, "")
    assert "MONGO_URI is not set" in result.stderr
    assert "NATS_URL is not set" in result.stderr
