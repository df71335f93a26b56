"""How the process of the service ends."""

import os
import signal
import subprocess
import sys

import pytest

from ticketing_common.testing import JWT_KEY
from ticketing_common.testing.servers import free_port


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_service_that_waits_for_mongodb_stops_when_it_is_told_to(signum):
    down = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": str(free_port()),
        "MONGO_URI": f"mongodb://127.0.0.1:{down}/orders",
        "NATS_URL": f"nats://127.0.0.1:{down}",
        "JWT_KEY": JWT_KEY,
    }
    command = [sys.executable, "-P", "-m", "orders.main"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout
        for line in service.stdout:
            if "waiting for mongodb" in line:
                break
        service.send_signal(signum)
        try:
            assert service.wait(5) == 0
        finally:
            service.kill()
