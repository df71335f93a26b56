"""Stopping the process of the orders service."""

import os
import signal
import subprocess
import sys

import pytest

from ticketing_common.testing import JWT_KEY
from ticketing_common.testing.servers import free_port


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_signal_stops_a_service_that_waits_for_mongodb(signum):
    closed_port = free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PORT": str(free_port()),
        "MONGO_URI": f"mongodb://127.0.0.1:{closed_port}/orders",
        "NATS_URL": f"nats://127.0.0.1:{closed_port}",
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
