"""What a test run leaves in the system's folder for temporary files."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

SERVERS = """
from ticketing_common.testing.servers import free_port, mongod, running

def use_mongod(folder):
    with running(mongod(free_port(), folder)):
        (folder / "said.log").write_text("what a part said")

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
    """Run these tests with `folder` as the system's; returns the names of the files that they leave in it."""
    file = folder / "test_these.py"
    file.write_text(tests)
    temporary = folder / "temporary"
    temporary.mkdir()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist"]
    done = subprocess.run(
        [*command, "--config-file", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), str(file)],
        env={**os.environ, "TMPDIR": str(temporary)},
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert "1 failed, 1 passed" in done.stdout or "2 passed" in done.stdout, done.stdout + done.stderr
    return [path.name for path in temporary.rglob("*") if path.is_file()]


def test_a_run_that_passes_leaves_nothing(tmp_path: Path) -> None:
    assert run_tests(tmp_path, SERVERS + PASSES) == []


def test_a_run_that_fails_leaves_the_logs_of_the_failed_test_but_no_store_s_data(tmp_path: Path) -> None:
    assert sorted(run_tests(tmp_path, SERVERS + FAILS)) == ["nats.conf", "said.log"]
