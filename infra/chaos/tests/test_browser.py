import asyncio
import random

import pytest

from ticketing_chaos.browser import Browser
from ticketing_chaos.history import History


async def test_request_that_is_cancelled_is_in_the_history_as_one_that_may_be_done():
    async def never_answer(_reader, _writer):
        await asyncio.sleep(60)

    history = History()
    async with await asyncio.start_server(never_answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        browser = Browser("somebody", f"http://127.0.0.1:{port}", history, random.Random(1))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await browser.ask("POST", "/api/orders", {"ticketId": "1"})
        await browser.close()
    assert [(call.path, call.may_be_done) for call in history.calls] == [("/api/orders", True)]
