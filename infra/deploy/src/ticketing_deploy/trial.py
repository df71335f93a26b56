"""Whether an image works: its own command, as its own user, on real stores: ready, and gone when told."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ticketing_common.testing.servers import (
    ServerUnavailable,
    die_with_parent,
    free_port,
    mongod,
    nats_server,
    redis_server,
    running,
)
from ticketing_deploy import engines
from ticketing_deploy.engines import Engine, EngineError
from ticketing_deploy.images import STRIPE_STAND_IN, Image

_READY_WITHIN = 60.0
_STOPPED_WITHIN = 15.0
_ENDED_WELL = (0, -signal.SIGTERM, 128 + signal.SIGTERM)

_LOOK = """
import json, os, shutil
paths = [os.path.join(folder, name) for folder, _, names in os.walk("/app") for name in (".", *names)]
print(json.dumps({
    "uid": os.getuid(),
    "tools": [tool for tool in ("cc", "gcc", "make", "pip", "pip3") if shutil.which(tool)],
    "writable": [path for path in paths if os.access(path, os.W_OK)],
}))
"""


class TrialFailed(Exception):
    """What is wrong with an image."""


def try_all(engine: Engine, built: dict[Image, str], target: str) -> int:
    """Print a table of them; the exit status."""
    failed = 0
    try:
        with tempfile.TemporaryDirectory() as folder, _stores(Path(folder)) as stores:
            print(f"\n{'image':<20}{'size':>10}{'ready after':>14}")
            for image, reference in built.items():
                for name, command in _commands(image).items():
                    print(f"{name:<20}{engines.size(engine, reference):>10}", end="", flush=True)
                    try:
                        _look(engine, reference, may_write=target == "dev")
                        print(f"{_run(engine, image, reference, stores, command):>12.1f} s", flush=True)
                    except TrialFailed as failure:
                        failed += 1
                        print(f"  FAILED: {failure}", flush=True)
    except ServerUnavailable as error:
        raise EngineError(f"The images are built, but not tried: {error}") from error
    return 1 if failed else 0


def _commands(image: Image) -> dict[str, list[str]]:
    """What the image is to run, by the name that the table has for it; []: its own command."""
    worker = {"expiration, worker": ["python", "-m", "expiration.worker"]}
    return {image.name: []} | (worker if image.name == "expiration" else {})


@contextlib.contextmanager
def _stores(folder: Path) -> Iterator[dict[str, str]]:
    """The URLs of real ones."""
    mongo, nats, redis = (server(free_port(), folder) for server in (mongod, nats_server, redis_server))
    with running(mongo), running(nats), running(redis):
        yield {"MONGO_URL": mongo.url, "NATS_URL": nats.url, "REDIS_URL": redis.url}


def _told(image: Image, stores: dict[str, str], port: int) -> dict[str, str]:
    """Every variable that some service wants: each looks at its own alone."""
    nowhere = "http://127.0.0.1:9"  # nobody is asked before somebody pays, or looks at a page
    return {
        **stores,
        "MONGO_URI": f"{stores['MONGO_URL']}/{image.name}",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "JWT_KEY": "signs-nothing-but-what-a-trial-says",
        "STRIPE_KEY": "sk_test_trial",
        "STRIPE_PUBLISHABLE_KEY": "pk_test_trial",
        "STRIPE_API_BASE": nowhere,
        **{f"{service}_URL": nowhere for service in ("AUTH", "TICKETS", "ORDERS", "PAYMENTS")},
        **({"DATA_DIR": "/tmp"} if image is STRIPE_STAND_IN else {"STRIPE_WEBHOOK_SECRET": "whsec_trial"}),
    }


def _look(engine: Engine, reference: str, may_write: bool) -> None:
    with engines.container(engine, reference) as name:
        seen = json.loads(engines.output(*engines.look_command(engine, reference, name, _LOOK)))
    if seen["uid"] == 0:
        raise TrialFailed("it runs as root")
    if seen["tools"]:
        raise TrialFailed(f"it has {', '.join(seen['tools'])}")
    if seen["writable"] and not may_write:
        raise TrialFailed(f"its user may write {seen['writable'][0]}")


def _run(engine: Engine, image: Image, reference: str, stores: dict[str, str], command: list[str]) -> float:
    """Seconds until it was ready."""
    port = free_port()
    with engines.container(engine, reference) as name, tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            engines.run_command(engine, reference, name, _told(image, stores, port), command),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches only us, and we end it
            preexec_fn=die_with_parent,
        )
        try:
            seconds = _until_ready(process, port, "/healthz" if image is STRIPE_STAND_IN else "/readyz")
            _stop(engine, process)
            return seconds
        except TrialFailed as failure:
            log.seek(0)
            said = log.read()[-4000:].decode(errors="replace")
            raise TrialFailed(f"{failure}. It said:\n{said}") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _until_ready(process: subprocess.Popen[bytes], port: int, path: str) -> float:
    began = time.monotonic()
    answer = "nothing"
    while time.monotonic() - began < _READY_WITHIN:
        if process.poll() is not None:
            raise TrialFailed(f"it ended before it was ready, with status {process.returncode}")
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=3)
            connection.request("GET", path)
            response = connection.getresponse()
            answer = f"{response.status} {response.read().decode(errors='replace')}"
            if response.status == 200:
                return time.monotonic() - began
        time.sleep(0.05)
    raise TrialFailed(f"{path} was not 200 within {_READY_WITHIN:g} s, but {answer}")


def _stop(engine: Engine, process: subprocess.Popen[bytes]) -> None:
    try:
        os.kill(engines.who_hears_signals(engine, process.pid), signal.SIGTERM)
        status = process.wait(_STOPPED_WITHIN)
    except subprocess.TimeoutExpired:
        raise TrialFailed(f"it did not end within {_STOPPED_WITHIN:g} s of SIGTERM") from None
    except (ProcessLookupError, FileNotFoundError):
        raise TrialFailed("it ended by itself once it was ready") from None
    if status not in _ENDED_WELL:
        raise TrialFailed(f"it ended with status {status} when told to stop")
