"""The stack's data folder (DATA_DIR): its lock, its free space, its secrets, and files of variables."""

import asyncio
import contextlib
import fcntl
import os
import secrets
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from ticketing_local.console import Console
from ticketing_local.errors import StackError
from ticketing_local.settings import Settings

NEEDED_BYTES = 50_000_000
"""Free space below which the disk counts as full. A new stack takes 12 MB."""
CHECK_INTERVAL = 5.0
"""Seconds between two checks of the free space."""


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Create and lock the folder; the kernel unlocks it when this process ends. Raises StackError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "stack.lock").open("a+b", buffering=0)
    except OSError as error:
        raise StackError(
            f"{folder} cannot be used ({error.strerror}): choose another, DATA_DIR=... make up."
        ) from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            raise StackError(
                f"Another stack (process {lock.read().decode().strip()}) is using {folder}: stop it first, "
                "or use another folder and port, DATA_DIR=.data2 PORT=8001 make up."
            ) from None
        with contextlib.suppress(OSError):  # a full disk; only the message above needs the id
            lock.truncate(0)
            lock.write(f"{os.getpid()}\n".encode())
        yield


def describe_full_disk(folder: Path) -> str | None:
    """What is wrong and what to do; None while there is enough free space for the folder."""
    free = shutil.disk_usage(folder).free
    if free >= NEEDED_BYTES:
        return None
    return (
        f"The disk is full: {folder.absolute()} has {free // 1_000_000} MB free, and the stack needs "
        f"{NEEDED_BYTES // 1_000_000} MB. Free some space, or use another folder, DATA_DIR=... make up."
    )


@contextlib.contextmanager
def report_disk_errors(folder: Path) -> Iterator[None]:
    """Raises StackError if the disk is full, or for an OSError inside."""
    try:
        if problem := describe_full_disk(folder):
            raise StackError(problem)
        yield
    except OSError as error:
        raise StackError(
            f"{error.filename or folder.absolute()} cannot be written ({error.strerror}): "
            "free some space or correct the permissions, or use another folder, DATA_DIR=... make up."
        ) from None


async def watch_free_space(folder: Path, console: Console) -> None:
    """Warn once when the disk becomes full, and once when it has space again; never returns."""
    was_full = False
    while True:
        problem = describe_full_disk(folder)
        if bool(problem) != was_full:
            warning = f"{problem} Until there is space, stores stop or refuse writes."
            console.warn(warning if problem else "The disk has enough space again.")
        was_full = bool(problem)
        await asyncio.sleep(CHECK_INTERVAL)


def load_secrets(settings: Settings) -> dict[str, str]:
    """The secrets from the settings, else from secrets.env, which the first start creates."""
    path = settings.data_dir / "secrets.env"
    saved = read_env_file(path) if path.exists() else {}
    generated = {
        "JWT_KEY": secrets.token_hex(32),
        "STRIPE_KEY": f"sk_test_{secrets.token_hex(16)}",
        "STRIPE_PUBLISHABLE_KEY": f"pk_test_{secrets.token_hex(16)}",
        "STRIPE_WEBHOOK_SECRET": f"whsec_{secrets.token_hex(16)}",
    }
    if generated.keys() - saved.keys():
        saved = generated | saved
        write_env_file(path, saved)
    given = {name: getattr(settings, name.lower(), None) for name in generated}
    return saved | {name: value for name, value in given.items() if value}


def write_env_file(path: Path, values: Mapping[str, str]) -> None:
    """Write KEY=value lines for a shell, readable by the owner only. The file appears as a whole."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    text = "".join(f"{key}={shlex.quote(value)}\n" for key, value in values.items())
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def read_env_file(path: Path) -> dict[str, str]:
    lines = (line.split("=", 1) for line in path.read_text().splitlines() if "=" in line)
    return {key: shlex.split(value)[0] if value else "" for key, value in lines}
