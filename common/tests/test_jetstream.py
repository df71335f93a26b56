"""The connection to a NATS that freezes."""

import asyncio
import signal

import pytest

from ticketing_common.jetstream import DOWN, connected
from ticketing_common.testing.servers import free_port, nats_server, running


async def test_a_server_that_was_frozen_is_heard_again_at_once(tmp_path):
    """nats-py's own ping, once given up, makes the connection deaf when the late answer comes."""
    server = nats_server(free_port(), tmp_path)
    with running(server) as process:
        async with connected(server.url, "test") as bus:
            process.send_signal(signal.SIGSTOP)
            with pytest.raises(DOWN):
                await asyncio.wait_for(bus.ping(), 2.5)
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.2)
            async with asyncio.timeout(1):
                await bus.publish_raw("ticket.created", b"{}")
