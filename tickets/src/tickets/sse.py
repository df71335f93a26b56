"""Server-Sent Events: the wire format, and a streaming response that ends with the client or the server."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from ticketing_common.background import cancel_and_wait
from ticketing_common.observability.logs import get_logger

COMMENT = b":\n\n"
"""Ignored by clients; a heartbeat that keeps the connection open."""

_SEND_TIMEOUT = 30.0
"""Seconds for which a client may read nothing."""
_CLOSE_TIMEOUT = 1.0
"""Seconds."""

log = get_logger(__name__)


def sse_event(event_id: str, name: str, data: str) -> bytes:
    """One event. No argument may contain a line break; JSON does not."""
    return f"id: {event_id}\nevent: {name}\ndata: {data}\n\n".encode()


class EventStream(StreamingResponse):
    """Sends chunks until there are no more, the client disconnects or stops reading, or the server stops."""

    media_type = "text/event-stream"

    def __init__(self, chunks: AsyncGenerator[bytes, None], draining: asyncio.Event) -> None:
        # Neither a cache nor a proxy may buffer.
        super().__init__(chunks, headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        self._chunks = chunks
        self._draining = draining

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sending = asyncio.create_task(self._send_all(send))
        ends = [
            sending,
            asyncio.create_task(_until_disconnected(receive)),
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
            async with asyncio.timeout(_CLOSE_TIMEOUT):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self._chunks:
            try:
                async with asyncio.timeout(_SEND_TIMEOUT):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except TimeoutError:
                log.info("event stream closed, the client does not read")
                return


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
