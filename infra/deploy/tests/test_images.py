"""The Dockerfile and its build context, the tag of each image, and the smoke test."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from commands import check, git
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ticketing_deploy import build, engines, images, smoke_test
from ticketing_deploy.images import ALL, DOCKERFILE, OPERATIONS, ROOT, STRIPE_STAND_IN, Image, revision, tag

AUTH = ALL["auth"]

TESTING = ROOT / "common/src/ticketing_common/testing"

every_image = pytest.mark.parametrize("image", ALL.values(), ids=lambda image: image.name)


def instructions(name):
    """The arguments of each such instruction of the Dockerfile."""
    lines = (ROOT / DOCKERFILE).read_text().replace("\\\n", "").splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def copied(image):
    """The paths that the image's build copies from the repository. One stage is only for OPERATIONS."""
    text = (ROOT / DOCKERFILE).read_text()
    (services_stage,) = re.findall(r"FROM build AS services\n.*?\nFROM ", text, re.DOTALL)
    other = "" if image is OPERATIONS else services_stage
    copies = [shlex.split(line) for line in instructions("COPY") if f"COPY {line}\n" not in other]
    return {
        path.replace("$FOLDER", image.folder)
        for *paths, _ in copies
        if not paths[0].startswith("--from")
        for path in paths
    }


def pins(path):
    """The version of each package in a requirements file."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / path).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def is_in_context(path):
    """Whether .dockerignore lets a build see the path: the last line that matches it or a parent decides."""
    included = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = re.escape(line.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if line and not line.startswith("#") and re.match(f"{pattern}(/|$)", path):
            included = line.startswith("!")
    return included


# The Dockerfile


def test_hadolint_reports_nothing():
    check("hadolint", "--no-color", DOCKERFILE)


def test_every_ignored_hadolint_rule_has_a_reason():
    ignored = re.findall(r"hadolint ignore=(.*)", (ROOT / DOCKERFILE).read_text())
    assert all(re.fullmatch(r"[A-Z0-9,]+ # \w.*", each) for each in ignored)


def test_every_program_of_the_repository_has_an_image():
    mains = [*ROOT.glob("*/src/*/main.py"), *ROOT.glob("infra/*/src/*/main.py")]
    mains += ROOT.glob("infra/operations/src/*/__main__.py")
    folders = {main.parents[2].relative_to(ROOT).as_posix() for main in mains}
    assert folders == {image.folder for image in ALL.values()}


@every_image
def test_module_that_an_image_runs_exists(image):
    runtime, dev, operations = instructions("CMD")
    assert runtime == dev == '["sh", "-c", "exec python -m \\"$SERVICE.main\\""]'
    assert operations == f'["python", "-m", "{OPERATIONS.module}"]'
    name = "__main__" if image is OPERATIONS else "main"
    assert (ROOT / image.folder / "src" / image.module / f"{name}.py").is_file()


@every_image
def test_folder_defaults_to_the_module_name(image):
    assert "FOLDER=$SERVICE" in instructions("ARG")  # skaffold.yaml relies on it
    assert image.folder == image.module or image in (STRIPE_STAND_IN, OPERATIONS)


@every_image
def test_sources_of_an_image_are_what_its_build_copies(image):
    assert set(image.sources) == copied(image) | {DOCKERFILE, ".dockerignore"}


@every_image
def test_sources_of_an_image_exist(image):
    assert [path for path in image.sources if not (ROOT / path).exists()] == []


# .dockerignore


@every_image
def test_build_context_includes_every_copied_file(image):
    files = [
        file.relative_to(ROOT).as_posix()
        for path in copied(image)
        for file in [ROOT / path, *(ROOT / path).rglob("*")]
        if "__pycache__" not in file.parts and TESTING not in file.parents and file != TESTING
    ]
    assert [file for file in files if not is_in_context(file)] == []


@pytest.mark.parametrize(
    "path",
    [
        ".git/config",
        ".venv/bin/python",
        ".data/secrets.env",
        "constraints.txt",
        "conftest.py",
        "auth/tests/test_models.py",
        "infra/stripe-stand-in/tests/conftest.py",
        "auth/src/auth.egg-info/PKG-INFO",
        "auth/src/auth/__pycache__/main.cpython-311.pyc",
        "infra/local/src/ticketing_local/up.py",
        "authors",
        "common/src/ticketing_common/testing/servers.py",
    ],
)
def test_build_context_excludes_everything_else(path):
    assert not is_in_context(path)


# The wheels


def test_images_use_the_tested_versions():
    tested, built = pins("constraints.txt"), pins("infra/docker/wheels.txt")
    assert {name: built[name] for name in built.keys() & tested.keys()} == {
        name: tested[name] for name in built.keys() & tested.keys()
    }
    assert built.keys() - tested.keys() == {"watchfiles"}  # for development


@every_image
def test_wheels_satisfy_the_dependencies_of_every_package(image):
    wheels = pins("infra/docker/wheels.txt")
    pyprojects = [ROOT / folder / "pyproject.toml" for folder in (image.folder, "common", *image.services)]
    command = [sys.executable, ROOT / "infra/docker/needs.py", *pyprojects]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    needs = [Requirement(line) for line in printed.split("\n") if line]
    assert "fastapi" in {need.name for need in needs}
    for need in needs:
        assert need.specifier.contains(wheels[canonicalize_name(need.name)]), need


# The tag of an image


@pytest.fixture
def commit(tmp_path, monkeypatch):
    """Replaces the repository with an empty one. Returns a function that commits a change of a file."""
    monkeypatch.setattr(images, "ROOT", tmp_path)

    def commit(path):
        edit(tmp_path / path)
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "--message", path)
        return git(tmp_path, "rev-parse", "HEAD")

    git(tmp_path, "init", "--quiet")
    return commit


def edit(file):
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as opened:
        opened.write("more\n")


def test_tag_is_the_last_commit_that_changed_the_sources(commit):
    commit("tickets/src/tickets/main.py")
    changed = commit("auth/src/auth/main.py")
    others = ["auth/tests/test_main.py", "orders/src/orders/main.py", "constraints.txt", "README.md"]
    for other in [*others, "common/src/ticketing_common/testing/servers.py"]:
        commit(other)
    assert tag(AUTH) == changed


@pytest.mark.parametrize(
    "path",
    [
        "auth/pyproject.toml",
        "common/src/ticketing_common/app.py",
        "infra/docker/wheels.txt",
        DOCKERFILE,
        ".dockerignore",
    ],
)
def test_change_of_any_source_changes_the_tag(commit, path):
    earlier = commit("auth/src/auth/main.py")
    assert tag(AUTH) == earlier
    later = commit(path)
    assert tag(AUTH) == later
    assert tag(AUTH, "HEAD~1") == earlier


def test_revision_marks_uncommitted_changes_of_sources(commit, tmp_path):
    committed = commit("auth/src/auth/main.py")
    edit(tmp_path / "auth/tests/test_main.py")
    assert revision(AUTH) == committed
    edit(tmp_path / "auth/src/auth/new.py")
    assert revision(AUTH) == f"{committed}-changed"


# The machine that builds


@pytest.fixture
def add_program(tmp_path, monkeypatch):
    """Makes an empty folder the whole PATH. Returns a function that adds a program to it."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def add_program(name, text):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    return add_program


def test_docker_builds_if_its_daemon_answers_else_buildah(add_program):
    add_program("buildah", "#!/bin/sh\n")
    add_program("docker", "#!/bin/sh\nexit 1\n")
    assert engines.choose() == "buildah"
    add_program("docker", "#!/bin/sh\n")
    assert engines.choose() == "docker"


def test_error_names_what_to_install_if_nothing_can_build(add_program):
    with pytest.raises(SystemExit, match="apt-get install buildah"):
        engines.choose()


def test_build_uses_the_pip_settings_of_this_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example.com/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///srv/wheels https://more.example.com/simple")
    monkeypatch.setenv("PIP_CERT", "/etc/ssl/company.pem")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "180")
    files = build.write_pip_settings(tmp_path)
    assert files["ca.crt"] == Path("/etc/ssl/company.pem")
    assert set(files["pip.conf"].read_text().splitlines()) == {
        "[global]",
        "index-url = https://packages.example.com/simple",
        "extra-index-url = https://more.example.com/simple",
        "default-timeout = 180",
        "cert = /etc/pip-ca.crt",
    }
    assert files["pip.conf"].stat().st_mode & 0o077 == 0  # an index URL may contain a password


def test_build_has_no_secrets_if_pip_has_no_settings(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert build.write_pip_settings(tmp_path) == {}


@pytest.mark.parametrize("name", ["pip.conf", "ca.crt"])
def test_dockerfile_mounts_the_pip_settings(name):
    target = {"pip.conf": "/etc/pip.conf", "ca.crt": build.CERTIFICATES}[name]
    assert any(f"--mount=type=secret,id={name},target={target} " in line for line in instructions("RUN"))


# The smoke test


def test_smoke_test_finds_faults(add_program, capsys, monkeypatch):
    path = os.environ["PATH"]
    stand_in = Path(__file__).with_name("docker_stand_in.py").read_text()
    add_program("docker", f"#!{sys.executable}\n{stand_in}")
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    monkeypatch.setattr(smoke_test, "_READY_WITHIN", 1.0)
    monkeypatch.setattr(smoke_test, "_STOPPED_WITHIN", 0.5)
    faults = {
        "expiration": "",
        "expiration, worker": "",
        "root": "it runs as root",
        "compiler": "it contains gcc",
        "test-code": "it contains /app/bin",
        "writable": "its user can write /app/bin",
        "crashes": "it did not answer /readyz with 200:\nJWT_KEY is missing",
        "never-ready": r"it did not answer /readyz with 200:\n[^\n]*\"GET /readyz HTTP/1.1\" 503",
        "deaf": "it did not exit within 0.5 s of SIGTERM",
        "ends-badly": "it exited with status 1 after SIGTERM",
    }
    built = {Image(name, name, name): f"{name}:smoke" for name in faults if "," not in name}
    assert smoke_test.run_all("docker", built, "runtime") == 1
    printed = capsys.readouterr().out
    for name, fault in faults.items():
        row = rf"^{name} +FAILED: {fault}" if fault else rf"^{name} +ready after \d\.\d s$"
        assert re.search(row, printed, re.MULTILINE), printed
