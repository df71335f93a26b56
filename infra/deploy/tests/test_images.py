"""What images are made from, what a build sees, the commit that names one, and what a trial finds wrong."""

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

from ticketing_deploy import engines, images, pip_settings, trial
from ticketing_deploy.images import DOCKERFILE, IMAGES, ROOT, STRIPE_STAND_IN, Image, is_changed, tag

ALL = [*IMAGES, STRIPE_STAND_IN]
AUTH = ALL[0]

every_image = pytest.mark.parametrize("image", ALL, ids=lambda image: image.name)


def instructions(name):
    """The arguments of each such instruction of the Dockerfile."""
    lines = (ROOT / DOCKERFILE).read_text().replace("\\\n", "").splitlines()
    return [line.removeprefix(f"{name} ") for line in lines if line.startswith(f"{name} ")]


def copied(image):
    """The paths of the repository that get into the image's build."""
    copies = [shlex.split(line) for line in instructions("COPY")]
    return {
        path.replace("$FOLDER", image.folder)
        for *paths, _ in copies
        if not paths[0].startswith("--from")
        for path in paths
    }


def pins(path):
    """The version of each package in a file of requirements."""
    found = re.findall(r"^([\w.-]+)==([^\s;]+)", (ROOT / path).read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def is_seen(path):
    """What the .dockerignore says of a path: the last line that matches it, or a folder that it is in."""
    seen = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = re.escape(line.lstrip("!")).replace(r"\*\*/", "(.*/)?").replace(r"\*", "[^/]*")
        if line and not line.startswith("#") and re.match(f"{pattern}(/|$)", path):
            seen = line.startswith("!")
    return seen


# The Dockerfile


def test_hadolint_finds_no_fault():
    check("hadolint", "--no-color", DOCKERFILE)


def test_whoever_tells_hadolint_to_look_away_says_why():
    ignored = re.findall(r"hadolint ignore=(.*)", (ROOT / DOCKERFILE).read_text())
    assert all(re.fullmatch(r"[A-Z0-9,]+ # \w.*", each) for each in ignored)


def test_every_program_of_the_repository_has_an_image():
    mains = [*ROOT.glob("*/src/*/main.py"), *ROOT.glob("infra/*/src/*/main.py")]
    assert {main.parents[2].relative_to(ROOT).as_posix() for main in mains} == {each.folder for each in ALL}


@every_image
def test_what_an_image_runs_exists(image):
    commands = {re.search(r"exec python -m \\\"(\S+?)\\\"", line).group(1) for line in instructions("CMD")}
    (module,) = commands  # the same for development
    path = module.replace("$SERVICE", image.module).replace(".", "/")
    assert (ROOT / image.folder / "src" / f"{path}.py").is_file()


@every_image
def test_the_folder_is_named_as_the_module_unless_the_build_is_told(image):
    assert "FOLDER=$SERVICE" in instructions("ARG")  # skaffold.yaml relies on it
    assert image.folder == image.module or image is STRIPE_STAND_IN


@every_image
def test_an_image_is_made_from_what_its_build_copies(image):
    assert set(image.made_from) == copied(image) | {DOCKERFILE, ".dockerignore"}


@every_image
def test_what_an_image_is_made_from_exists(image):
    assert [path for path in image.made_from if not (ROOT / path).exists()] == []


# The .dockerignore


@every_image
def test_a_build_sees_all_that_it_copies(image):
    files = [
        file.relative_to(ROOT).as_posix()
        for path in copied(image)
        for file in [ROOT / path, *(ROOT / path).rglob("*")]
        if "__pycache__" not in file.parts
    ]
    assert [file for file in files if not is_seen(file)] == []


@pytest.mark.parametrize(
    "path",
    [
        *(".git/config", ".venv/bin/python", ".data/secrets.env", "constraints.txt", "conftest.py"),
        *(
            "auth/tests/test_models.py",
            "infra/stripe-stand-in/tests/conftest.py",
            "auth/src/auth.egg-info/PKG-INFO",
        ),
        *(
            "auth/src/auth/__pycache__/main.cpython-311.pyc",
            "infra/local/src/ticketing_local/up.py",
            "authors",
        ),
    ],
)
def test_a_build_sees_nothing_else(path):
    assert not is_seen(path)


# The wheels


def test_images_have_the_versions_that_were_tested():
    tested, built = pins("constraints.txt"), pins("infra/docker/wheels.txt")
    assert {name: built[name] for name in built.keys() & tested.keys()} == {
        name: tested[name] for name in built.keys() & tested.keys()
    }
    assert built.keys() - tested.keys() == {"watchfiles"}  # for development


@every_image
def test_what_a_package_needs_is_among_the_wheels(image):
    wheels = pins("infra/docker/wheels.txt")
    folders = [ROOT / image.folder, ROOT / "common"]
    command = [
        sys.executable,
        ROOT / "infra/docker/needs.py",
        *(folder / "pyproject.toml" for folder in folders),
    ]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    needs = [Requirement(line) for line in printed.split("\n") if line]
    assert "fastapi" in {need.name for need in needs}
    for need in needs:
        assert need.specifier.contains(wheels[canonicalize_name(need.name)]), need


# The commit that names an image


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty one in the place of ours; returns what commits a change of a file."""
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


def test_an_image_is_named_by_the_last_commit_that_changed_it(repository):
    repository("tickets/src/tickets/main.py")
    made = repository("auth/src/auth/main.py")
    for beside in ("auth/tests/test_main.py", "orders/src/orders/main.py", "constraints.txt", "README.md"):
        repository(beside)
    assert tag(AUTH) == made


@pytest.mark.parametrize(
    "path",
    [
        *("auth/pyproject.toml", "common/src/ticketing_common/app.py", "infra/docker/wheels.txt"),
        *(DOCKERFILE, ".dockerignore"),
    ],
)
def test_a_change_of_what_it_is_made_from_renames_it(repository, path):
    earlier = repository("auth/src/auth/main.py")
    assert tag(AUTH) == earlier
    later = repository(path)
    assert tag(AUTH) == later
    assert tag(AUTH, "HEAD~1") == earlier


def test_a_work_tree_is_told_from_its_commit(repository, tmp_path):
    repository("auth/src/auth/main.py")
    edit(tmp_path / "auth/tests/test_main.py")
    assert not is_changed(AUTH)
    edit(tmp_path / "auth/src/auth/new.py")
    assert is_changed(AUTH)


# The machine that builds


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def program(name, text):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    return program


def test_docker_builds_where_its_daemon_answers_else_buildah(programs):
    programs("buildah", "#!/bin/sh\n")
    programs("docker", "#!/bin/sh\nexit 1\n")
    assert engines.choose() == "buildah"
    programs("docker", "#!/bin/sh\n")
    assert engines.choose() == "docker"
    assert engines.choose("buildah") == "buildah"


def test_where_nothing_can_build_one_is_told_what_to_install(programs):
    with pytest.raises(engines.EngineError, match="apt-get install buildah"):
        engines.choose()


def test_a_build_reaches_the_index_as_this_machine_does(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example.com/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "file:///srv/wheels https://more.example.com/simple")
    monkeypatch.setenv("PIP_CERT", "/etc/ssl/company.pem")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "180")
    files = pip_settings.secret_files(tmp_path)
    assert files["ca.crt"] == Path("/etc/ssl/company.pem")
    assert set(files["pip.conf"].read_text().splitlines()) == {
        "[global]",
        "index-url = https://packages.example.com/simple",
        "extra-index-url = https://more.example.com/simple",
        "default-timeout = 180",
        "cert = /etc/pip-ca.crt",
    }
    assert files["pip.conf"].stat().st_mode & 0o077 == 0  # an index may want a password


def test_a_build_is_told_nothing_where_pip_is_not(tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    assert pip_settings.secret_files(tmp_path) == {}


@pytest.mark.parametrize("name", ["pip.conf", "ca.crt"])
def test_the_dockerfile_mounts_what_a_build_is_told(name):
    target = {"pip.conf": "/etc/pip.conf", "ca.crt": pip_settings.CERTIFICATES}[name]
    assert any(f"--mount=type=secret,id={name},target={target} " in line for line in instructions("RUN"))


# The trial


def test_a_trial_finds_what_is_wrong(programs, capsys, monkeypatch):
    path = os.environ["PATH"]
    programs("docker", f"#!{sys.executable}\n" + Path(__file__).with_name("docker_stand_in.py").read_text())
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    monkeypatch.setattr(trial, "_READY_WITHIN", 1.0)
    monkeypatch.setattr(trial, "_STOPPED_WITHIN", 0.5)
    faults = {
        "expiration": "",
        "expiration, worker": "",
        "root": "it runs as root",
        "compiler": "it has gcc",
        "writable": "its user may write /app/bin",
        "crashes": "it ended before it was ready, with status 1. It said:\nNo JWT_KEY, say",
        "never-ready": '/readyz was not 200 within 1 s, but 503 {"mongo": "down"}',
        "deaf": "it did not end within 0.5 s of SIGTERM",
        "ends-badly": "it ended with status 1 when told to stop",
    }
    built = {Image(name, name, name): f"{name}:trial" for name in faults if "," not in name}
    assert trial.try_all("docker", built, "runtime") == 1
    said = capsys.readouterr().out
    for name, fault in faults.items():
        row = rf"^{name} +180MB  FAILED: {re.escape(fault)}" if fault else rf"^{name} +180MB +\d\.\d s$"
        assert re.search(row, said, re.MULTILINE), said
