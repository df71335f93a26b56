"""The workflows of GitHub, as far as they can be tried without it."""

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import check, git

from ticketing_deploy.images import IMAGES, ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = {path.name: path for path in sorted((GITHUB / "workflows").iterdir())}
LOADED: dict[str, dict[Any, Any]] = {
    name: yaml.safe_load(path.read_text()) for name, path in WORKFLOWS.items()
}
SERVICES = [image.folder for image in IMAGES]


def triggers(name: str) -> dict[str, Any]:
    found: dict[str, Any] = LOADED[name][True]  # the "on" of YAML 1.1
    return found


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [(name, job) for name, workflow in LOADED.items() for job in workflow["jobs"].values()]


def paths(name: str) -> list[str]:
    found: list[str] = (triggers(name).get("pull_request") or {}).get("paths", [])
    return found


def uses() -> list[tuple[str, str]]:
    """Each line that uses something, and the file that it is in."""
    lines = [(name, line) for name, path in WORKFLOWS.items() for line in path.read_text().splitlines()]
    return [(name, line.partition("uses:")[2].strip()) for name, line in lines if "uses:" in line]


def test_the_workflows_are_what_github_reads() -> None:
    files = [str(path) for path in WORKFLOWS.values()]
    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)


def test_what_dependabot_is_told_is_what_it_reads() -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.dependabot", str(GITHUB / "dependabot.yml"))


def test_nothing_in_a_workflow_is_dangerous() -> None:
    check("zizmor", "--offline", "--no-progress", "--persona=auditor", str(GITHUB))


def test_each_action_is_pinned_to_one_commit_with_its_version_beside_it() -> None:
    pins = {pin for _, pin in uses() if not pin.startswith("$/")}
    for pin in pins:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin)
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


def test_each_workflow_that_is_called_is_there() -> None:
    called = {pin.removeprefix("$/") for _, pin in uses() if pin.startswith("$/")}
    assert called
    assert all((ROOT / path).is_file() for path in called)


def test_no_workflow_may_do_anything_until_a_job_says_so() -> None:
    assert all(workflow["permissions"] == {} for workflow in LOADED.values())
    assert all("permissions" in job for _, job in jobs())


def test_each_job_ends_some_time() -> None:
    assert all("uses" in job or job["timeout-minutes"] <= 90 for _, job in jobs())


def test_who_may_publish_or_write_runs_nothing_of_the_repository() -> None:
    writing = [job for _, job in jobs() if "write" in job["permissions"].values()]
    assert len(writing) == 2
    for job in writing:
        ran = " ".join(step.get("run", "") for step in job["steps"])
        assert not re.search(r"make|python|pytest|\./", ran)


def test_secrets_are_of_an_environment() -> None:
    using = [(name, job) for name, job in jobs() if "secrets." in str(job)]
    assert [(name, job["environment"]) for name, job in using] == [
        ("deploy.yml", "registry"),
        ("deploy.yml", "production"),
    ]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_path_that_starts_a_workflow_exists(name: str) -> None:
    for path in paths(name):
        assert (ROOT / path.removesuffix("/**")).exists()
        assert path.endswith("/**") == (ROOT / path.removesuffix("/**")).is_dir()


def test_the_folders_that_dependabot_looks_into_exist() -> None:
    for update in yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]:
        for folder in update.get("directories", []):
            assert (ROOT / folder.strip("/").removesuffix("/**")).is_dir()


@pytest.mark.parametrize("package", [*SERVICES, "common"])
def test_each_package_is_tested_alone_when_it_changes_or_what_it_is_made_from(package: str) -> None:
    name = f"{package}.yml"
    assert {
        f"{package}/**",
        "common/**",
        "constraints.txt",
        f".github/workflows/{name}",
        ".github/workflows/test-package.yml",
    } <= set(paths(name))
    (job,) = LOADED[name]["jobs"].values()
    assert job["with"]["package"] == package
    beside = job["with"].get("beside", "./common").split()
    assert {f"{folder.removeprefix('./')}/**" for folder in beside} <= set(paths(name))


def test_nothing_is_deployed_before_its_tests_have_passed_and_no_deployment_is_cut_off() -> None:
    workflow = LOADED["deploy.yml"]
    assert workflow["jobs"]["tests"]["uses"] == "$/.github/workflows/market.yml"
    assert "tests" in workflow["jobs"]["build"]["needs"]
    assert "build" in workflow["jobs"]["deploy"]["needs"]
    assert workflow["concurrency"]["cancel-in-progress"] is False


def run_step(
    workflow: str, job: str, name: str, folder: Path, **env: str
) -> subprocess.CompletedProcess[str]:
    (step,) = (step for step in LOADED[workflow]["jobs"][job]["steps"] if step.get("name") == name)
    return subprocess.run(
        ["bash", "-e", "-c", step["run"]],
        cwd=folder,
        env={**os.environ, "GITHUB_OUTPUT": str(folder / "output"), **env},
        capture_output=True,
        text=True,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits on main and one beside it; main says nothing of images."""
    package = tmp_path / "infra/deploy/src/ticketing_deploy"
    package.mkdir(parents=True)
    (package / "deploy.py").write_text('print("{}")')
    for command in (
        "init --initial-branch=main",
        "add .",
        "commit --message=one",
        "commit --allow-empty --message=two",
        "checkout -b side",
        "commit --allow-empty --message=side",
        "checkout main",
        "update-ref refs/remotes/origin/main main",
    ):
        git(tmp_path, *command.split())
    return tmp_path


def plan(repository: Path, commit: str) -> subprocess.CompletedProcess[str]:
    return run_step("deploy.yml", "plan", "Which commit, and which images", repository, COMMIT=commit)


def test_any_commit_of_main_can_be_deployed_by_hand(repository: Path) -> None:
    first = git(repository, "rev-parse", "main~1")
    assert plan(repository, first[:8]).returncode == 0
    assert f"commit={first}\nimages={{}}\n" in (repository / "output").read_text()
    assert git(repository, "rev-parse", "HEAD") == first


def test_what_is_no_commit_of_main_cannot_be_deployed(repository: Path) -> None:
    side = git(repository, "rev-parse", "side")
    for commit in (side, "main", "0" * 40, "abcdef", "$(touch here)", f"{side}\nabcdef0", "--help", ""):
        done = plan(repository, commit)
        assert done.returncode == 1
        assert done.stdout.startswith("::error::")
    assert not (repository / "output").exists()
    assert not (repository / "here").exists()


def test_only_a_tag_of_the_version_on_main_publishes_common(repository: Path) -> None:
    (repository / "common").mkdir()
    (repository / "common/pyproject.toml").write_text((ROOT / "common/pyproject.toml").read_text())
    version = re.search(r'^version = "(.+)"', (ROOT / "common/pyproject.toml").read_text(), re.MULTILINE)
    assert version

    def publish(tag: str) -> int:
        step = "Check that the tag is the version, and on main"
        return run_step("publish-common.yml", "build", step, repository, GITHUB_REF_NAME=tag).returncode

    assert publish(f"common-v{version[1]}") == 0
    assert publish("common-v99.0.0") == 1
    git(repository, "checkout", "side")
    assert publish(f"common-v{version[1]}") == 1
