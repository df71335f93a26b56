"""MongoDB pods without a cluster: real mongods, run and probed as in the manifest. Tests set their DNS.

The preloaded libnss_wrapper resolves names (https://cwrap.org/nss_wrapper.html). Each pod has its own
address in 127.0.0.0/8, and a new one after each restart.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster import named, workload
from playwright._impl._driver import compute_driver_executable
from pymongo import MongoClient
from pymongo.errors import PyMongoError

from ticketing_common.testing.servers import die_with_parent, find_mongod

_WRAPPER = "libnss_wrapper.so"
_STORE = "orders-mongo"
_PROBE_PERIOD = 1.0
"""In seconds; shorter than in the manifest."""

_FOR_TESTS = [
    *("--wiredTigerEngineConfigString", "log=(prealloc=false,file_max=1MB)"),  # default: 300 MB
    *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100"),  # default: 15 s
]


class Dns:
    """The address of each name; empty at first."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "hosts"
        self._addresses: dict[str, str] = {}
        self._changed = 1
        self._write()

    def environment(self) -> dict[str, str]:
        """The variables with which a program resolves names here."""
        return {"LD_PRELOAD": _WRAPPER, "NSS_WRAPPER_HOSTS": str(self._file)}

    def set(self, name: str, address: str) -> None:
        self._addresses[name] = address
        self._write()

    def clear(self) -> None:
        """Remove all names, as if DNS were down."""
        self._addresses.clear()
        self._write()

    def is_used(self) -> bool:
        """Whether programs resolve names here: True if libnss_wrapper is installed."""
        self.set("probe.test", "127.9.9.9")
        command = ["getent", "ahosts", "probe.test"]
        done = subprocess.run(command, env=os.environ | self.environment(), capture_output=True, text=True)
        self.clear()
        return "127.9.9.9" in done.stdout

    def _write(self) -> None:
        new = self._file.with_suffix(".new")
        new.write_text("".join(f"{address} {name}\n" for name, address in self._addresses.items()))
        # The wrapper reads the file again if its modification time differs, in whole seconds.
        self._changed += 1
        os.utime(new, (self._changed, self._changed))
        new.rename(self._file)


class Pod:
    """A member of orders' MongoDB, with its container and its volume."""

    def __init__(self, overlay: str, ordinal: int, dns: Dns, folder: Path) -> None:
        self.name = f"{_STORE}-{ordinal}"
        self.host = f"{self.name}.{_STORE}"
        self.log = folder / f"{self.name}.log"
        self._spec = workload(overlay, _STORE)
        self._overlay = overlay
        self._dns = dns
        self._folder = folder / self.name
        (self._folder / "db").mkdir(parents=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._has_started = False
        self._probed = 0.0
        self.restarts = 0

    def start(self, *, wait_for_name: bool = True) -> None:
        """Run the container in a pod with a new address. Without waiting, run mongod at once."""
        a, b, c = (random.randrange(2, 250) for _ in range(3))
        self.address = f"127.{a}.{b}.{c}"
        self.client: MongoClient[Any] = MongoClient(
            self.address, 27017, directConnection=True, retryWrites=False, serverSelectionTimeoutMS=500
        )
        self._install()
        self._run(wait_for_name)

    def publish(self) -> None:
        """Add the pod's address to DNS."""
        self._dns.set(self.host, self.address)

    def stop(self) -> int:
        """Stop the container like Kubernetes. Returns its exit status."""
        assert self._process
        self._process.terminate()
        status = self._process.wait(30)
        self.client.close()
        return status

    def supervise(self) -> None:
        """Act as the kubelet: restart the container if it exited, and probe it."""
        assert self._process
        if self._process.poll() is not None:
            self.restarts += 1
            self._run(wait_for_name=True)
        if time.monotonic() - self._probed > _PROBE_PERIOD:
            name = "livenessProbe" if self._has_started else "startupProbe"
            self._has_started = self.probe(name) or self._has_started
            self._probed = time.monotonic()

    def probe(self, name: str) -> bool:
        """Whether the probe succeeds. A probe without a command always does."""
        if "exec" not in (probe := self._spec.container[name]):
            return True
        command = [self._localized(word) for word in probe["exec"]["command"]]
        with self.log.open("ab") as log:
            return subprocess.run(command, env=self._environment(), stdout=log, stderr=log).returncode == 0

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    def remove_mongosh(self) -> None:
        """Make every later call of mongosh fail."""
        (self._folder / "bin" / "mongosh").write_text("#!/bin/sh\nexit 1\n")

    def state(self) -> str:
        """Returns primary, secondary, removed, down or other."""
        try:
            hello = self.client.admin.command("hello")
            if hello.get("isreplicaset"):
                return "removed" if self.client.local["system.replset"].find_one() else "uninitiated"
        except PyMongoError:
            return "down"
        return "primary" if hello["isWritablePrimary"] else "secondary" if hello["secondary"] else "other"

    def _run(self, wait_for_name: bool) -> None:
        container = self._spec.container
        command = [*container["command"], *container.get("args", [])]
        if not wait_for_name:
            command = command[command.index("mongod") :]
        place = command.index("--bind_ip_all")
        command[place : place + 1] = ["--bind_ip", self.address]
        command += ["--dbpath", str(self._folder / "db"), *_FOR_TESTS]
        self._has_started = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._localized(word) for word in command],
                env=self._environment() | self._dns.environment(),
                stdout=log,
                stderr=log,
                preexec_fn=die_with_parent,
            )

    def _environment(self) -> dict[str, str]:
        fields = {"metadata.name": self.name, "status.podIP": self.address}
        variables = {
            variable["name"]: variable["value"]
            if "value" in variable
            else fields[variable["valueFrom"]["fieldRef"]["fieldPath"]]
            for variable in self._spec.container["env"]
        }
        return variables | {"PATH": f"{self._folder / 'bin'}:{os.environ['PATH']}"}

    def _install(self) -> None:
        """Install the programs of the image and the files of the ConfigMap."""
        programs, files = self._folder / "bin", self._folder / "member"
        for folder in (programs, files):
            folder.mkdir(exist_ok=True)
        (programs / "mongod").unlink(missing_ok=True)
        (programs / "mongod").symlink_to(find_mongod())
        _install_mongosh(programs / "mongosh")
        (name,) = (v["configMap"]["name"] for v in self._spec.pod["volumes"] if "configMap" in v)
        for file, text in named(self._overlay, "ConfigMap", name)["data"].items():
            (files / file).write_text(self._localized(text))

    def _localized(self, text: str) -> str:
        """Replace paths and addresses with those of this pod, which shares the machine with others."""
        for original, local in {
            "/member/": f"{self._folder}/member/",
            "localhost": self.address,
            "127.0.0.1": self.address,
        }.items():
            text = text.replace(original, local)
        return text


def supervise_until(condition: Callable[[], bool], *pods: Pod, seconds: float = 60) -> None:
    """Supervise the pods until the condition holds. Raises AssertionError."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, [(pod.state(), pod.log.read_text()[-2000:]) for pod in pods]
        for pod in pods:
            pod.supervise()
        time.sleep(0.05)


def _install_mongosh(path: Path) -> None:
    """Use the mongosh of this machine, or a stand-in that the node of Playwright runs."""
    node, _cli = compute_driver_executable()
    stand_in = Path(__file__).with_name("mongosh_stand_in.js")
    mongosh = shutil.which("mongosh") or f'{node}" "{stand_in}'
    path.write_text(f'#!/bin/sh\nPYTHON="{sys.executable}" exec "{mongosh}" "$@"\n')
    path.chmod(0o755)
