"""The GitHub workflows: checked statically, and their scripts run here."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from commands import check, git

from ticketing_deploy.images import ROOT, SERVICES

GITHUB = ROOT / ".github"
WORKFLOWS = {path.name: path for path in sorted((GITHUB / "workflows").iterdir())}
LOADED: dict[str, dict[Any, Any]] = {
    name: yaml.safe_load(path.read_text()) for name, path in WORKFLOWS.items()
}
PACKAGES = ["common", *(image.folder for image in SERVICES)]


def jobs() -> list[tuple[str, dict[str, Any]]]:
    return [(name, job) for name, workflow in LOADED.items() for job in workflow["jobs"].values()]


def uses() -> set[str]:
    """Every action and workflow that a workflow uses."""
    lines = [line for path in WORKFLOWS.values() for line in path.read_text().splitlines()]
    return {line.partition("uses:")[2].strip() for line in lines if "uses:" in line}


def test_workflows_match_the_schema_of_github() -> None:
    files = [str(path) for path in WORKFLOWS.values()]
    check("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)


def test_dependabot_configuration_matches_its_schema() -> None:
    check("check-jsonschema", "--builtin-schema", "vendor.dependabot", str(GITHUB / "dependabot.yml"))


def test_zizmor_finds_no_security_problem() -> None:
    check("zizmor", "--offline", "--no-progress", "--persona=auditor", str(GITHUB))


def test_every_action_is_pinned_to_a_commit_with_its_version_as_comment() -> None:
    pins = {pin for pin in uses() if not pin.startswith("$/")}
    for pin in pins:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", pin)
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


def test_every_called_workflow_exists() -> None:
    called = {pin.removeprefix("$/") for pin in uses() if pin.startswith("$/")}
    assert called
    assert all((ROOT / path).is_file() for path in called)


def test_only_jobs_grant_permissions() -> None:
    assert all(workflow["permissions"] == {} for workflow in LOADED.values())
    assert all("permissions" in job for _, job in jobs())


def test_every_job_has_a_timeout() -> None:
    assert all("uses" in job or job["timeout-minutes"] <= 90 for _, job in jobs())


def test_job_with_write_permissions_runs_no_code_of_the_repository() -> None:
    writing = [job for _, job in jobs() if "write" in job["permissions"].values()]
    assert len(writing) == 2
    for job in writing:
        scripts = " ".join(step.get("run", "") for step in job["steps"])
        assert not re.search(r"make|python|pytest|\./", scripts)


def test_secrets_belong_to_an_environment() -> None:
    using = [(name, job) for name, job in jobs() if "secrets." in str(job)]
    assert [(name, job["environment"]) for name, job in using] == [
        ("deploy.yml", "registry"),
        ("deploy.yml", "production"),
    ]


def test_folders_that_dependabot_updates_exist() -> None:
    for update in yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]:
        for folder in update.get("directories", []):
            assert (ROOT / folder.strip("/").removesuffix("/**")).is_dir()


def test_deployment_needs_passed_checks_and_is_never_cancelled() -> None:
    workflow = LOADED["deploy.yml"]
    assert workflow["jobs"]["checks"]["uses"] == "$/.github/workflows/checks.yml"
    assert "checks" in workflow["jobs"]["build"]["needs"]
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
    """A repository with two commits on main and one on another branch, and without images."""
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


@pytest.mark.parametrize(
    ("changed", "tested"),
    [
        ("auth/src/auth/main.py", ["auth"]),
        ("auth/pyproject.toml payments/tests/test_models.py", ["auth", "payments"]),
        ("infra/stripe-stand-in/src/stripe_stand_in/api.py", ["payments"]),
        ("common/src/ticketing_common/py.typed", PACKAGES),
        ("constraints.txt", PACKAGES),
        (".github/workflows/packages.yml", PACKAGES),
        ("docs/common/constraints.txt infra/k8s/services/auth.yaml authors/auth", []),
    ],
)
def test_pull_request_tests_the_packages_that_it_can_affect(
    repository: Path, changed: str, tested: list[str]
) -> None:
    for path in map(repository.joinpath, changed.split()):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("changed")
    git(repository, "add", "--", *changed.split())
    git(repository, "commit", "--message=changed")
    step = "List packages whose tests a change can affect"
    assert run_step("packages.yml", "changes", step, repository).returncode == 0
    output = (repository / "output").read_text().removeprefix("packages=")
    assert sorted(json.loads(output)) == sorted(tested)


def test_every_package_is_tested_alone() -> None:
    script = str(LOADED["packages.yml"]["jobs"]["changes"]["steps"])
    (listed,) = re.findall(r"for package in ([\w ]+);", script)
    assert sorted(listed.split()) == sorted(PACKAGES)


def plan(repository: Path, commit: str) -> subprocess.CompletedProcess[str]:
    return run_step("deploy.yml", "plan", "Find the commit and its images", repository, COMMIT=commit)


def test_every_commit_of_main_can_be_deployed_by_hand(repository: Path) -> None:
    first = git(repository, "rev-parse", "main~1")
    assert plan(repository, first[:8]).returncode == 0
    assert f"commit={first}\nimages={{}}\n" in (repository / "output").read_text()
    assert git(repository, "rev-parse", "HEAD") == first


def test_anything_else_cannot_be_deployed(repository: Path) -> None:
    side = git(repository, "rev-parse", "side")
    for commit in (side, "main", "0" * 40, "abcdef", "$(touch here)", f"{side}\nabcdef0", "--help", ""):
        done = plan(repository, commit)
        assert done.returncode == 1
        assert done.stdout.startswith("::error::")
    assert not (repository / "output").exists()
    assert not (repository / "here").exists()


def test_common_is_published_only_from_a_tag_of_its_version_on_main(repository: Path) -> None:
    (repository / "common").mkdir()
    (repository / "common/pyproject.toml").write_text((ROOT / "common/pyproject.toml").read_text())
    version = re.search(r'^version = "(.+)"', (ROOT / "common/pyproject.toml").read_text(), re.MULTILINE)
    assert version

    def publish(tag: str) -> int:
        step = "Check that the tag names the version and is on main"
        return run_step("publish-common.yml", "build", step, repository, GITHUB_REF_NAME=tag).returncode

    assert publish(f"common-v{version[1]}") == 0
    assert publish("common-v99.0.0") == 1
    git(repository, "checkout", "side")
    assert publish(f"common-v{version[1]}") == 1


@pytest.mark.parametrize(
    ("arguments", "targets"),
    [
        ("", ["lint", "test"]),
        ("test-all", ["test-all"]),
        ("chaos SECONDS=900", ["chaos SECONDS=900"]),
    ],
)
def test_ci_script_runs_all_checks_or_the_given_target(
    tmp_path: Path, arguments: str, targets: list[str]
) -> None:
    for name, script in {"dpkg-query": "echo install ok installed", "make": 'echo "make $*"'}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["bash", ROOT / ".ci/run", *arguments.split()],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        check=True,
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [f"make {target}" for target in targets]
