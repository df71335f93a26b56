import asyncio
import random

import pytest

from ticketing_chaos.client import RecordingClient
from ticketing_chaos.history import History


async def test_cancelled_request_is_recorded_as_one_that_may_have_succeeded():
    async def never_answer(_reader, _writer):
        await asyncio.sleep(60)

    history = History()
    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        client = RecordingClient("somebody", f"http://127.0.0.1:{port}", history, random.Random(1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await client.send("POST", "/api/orders", {"ticketId": "1"})
        await client.close()
    assert [(each.path, each.may_have_succeeded) for each in history.requests] == [("/api/orders", True)]
