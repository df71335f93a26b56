"""Server-Sent Events: their form on the wire, and the answer that sends them until one side ends it."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ticketing_common.logs import get_logger
from ticketing_common.tasks import cancel_and_wait

COMMENT = b":\n\n"
"""What a client ignores; it keeps the connection from looking dead."""

_PATIENCE = 30.0
"""Seconds that a client may take none of what is sent to it."""
_GOODBYE = 1.0

log = get_logger(__name__)


def event(event_id: str, name: str, data: str) -> bytes:
    """One event. None of its parts may contain a line break; JSON does not."""
    return f"id: {event_id}\nevent: {name}\ndata: {data}\n\n".encode()


class EventStream(StreamingResponse):
    """Sends chunks until there are no more, the client is gone or takes nothing, or the server must stop."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes, None], draining: asyncio.Event) -> None:
        # Neither a cache nor a proxy may hold anything back.
        super().__init__(chunks, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._chunks = chunks
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send_all(send))
        ends = [
            sending,
            asyncio.create_task(_until_gone(receive)),
            asyncio.create_task(self._draining.wait()),
        ]
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancel_and_wait(*ends)
            await self._chunks.aclose()
        if not sending.cancelled():
            sending.result()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            try:
                async with asyncio.timeout(_PATIENCE):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except TimeoutError:
                log.info("a client takes nothing, its stream ends")
                return


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
