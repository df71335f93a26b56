"""What one stack has for itself alone: its folder and its port."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ticketing_local.errors import StackError


@contextlib.contextmanager
def own_folder(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock; the kernel lets go of it however this process ends."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        lock = os.open(data_dir / "stack.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StackError(
            f"{data_dir} cannot be used ({error.strerror}): choose another, DATA_DIR=... make up."
        ) from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(lock, 20, 0).decode().strip()
            raise StackError(
                f"Another stack (process {pid}) is using {data_dir}: stop it first, "
                "or give this one its own, DATA_DIR=.data2 PORT=8001 make up."
            ) from None
        with contextlib.suppress(OSError):  # a full disk; the id is only for the message above
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(lock)


def refuse_port_in_use(port: int) -> None:
    """Look before Caddy does: it would share the port with another Caddy (SO_REUSEPORT), and say nothing."""
    for family, host in loopbacks():
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except PermissionError:
                raise StackError(
                    f"Port {port} is for the system's administrator only: choose another, PORT=8001 make up."
                ) from None
            except OSError:
                raise StackError(
                    f"Port {port} is in use: stop what listens on it, or choose another, "
                    "PORT=8001 make up (and its own DATA_DIR, for a second market beside the first)."
                ) from None


def loopbacks() -> list[tuple[socket.AddressFamily, str]]:
    """The addresses that `localhost` can mean on this machine."""
    both = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
    return [(family, host) for family, host in both if _exists(family, host)]


def _exists(family: socket.AddressFamily, host: str) -> bool:
    try:
        with socket.socket(family) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
