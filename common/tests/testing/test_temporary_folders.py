"""The files that a test run leaves in the system's temporary folder."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]

SERVERS = """
from ticketing_common.testing.servers import free_port, mongod, running

def use_mongod(folder):
    with running(mongod(free_port(), folder)):
        (folder / "process.log").write_text("the output of a process")

def test_uses_servers_of_the_session(nats_url, redis_url):
    pass
"""
PASSES = """
def test_passes(tmp_path):
    use_mongod(tmp_path)
"""
FAILS = """
def test_fails(tmp_path):
    use_mongod(tmp_path)
    assert False
"""


def run_tests(folder: Path, tests: str) -> list[str]:
    """Runs these tests with a temporary folder of their own. Returns the names of the files left in it."""
    file = folder / "test_these.py"
    file.write_text(tests)
    temporary = folder / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    result = subprocess.run(
        [*command, "--config-file", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), str(file)],
        env={**os.environ, "TMPDIR": str(temporary)},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert "1 failed, 1 passed" in result.stdout or "2 passed" in result.stdout, result.stdout + result.stderr
    return [path.name for path in temporary.rglob("*") if path.is_file()]


def test_run_without_failures_leaves_no_files(tmp_path: Path) -> None:
    assert run_tests(tmp_path, SERVERS + PASSES) == []


def test_run_with_failures_leaves_the_logs_of_the_failed_tests_but_no_data_of_stores(tmp_path: Path) -> None:
    assert sorted(run_tests(tmp_path, SERVERS + FAILS)) == ["nats.conf", "process.log"]
