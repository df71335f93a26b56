"""How to know that a part is ready: it answers in its own protocol."""

import asyncio
from collections.abc import Awaitable, Callable

from ticketing_common.testing.servers import Server, answers

Probe = Callable[[], Awaitable[bool]]


def http_answers(port: int, path: str, status: int = 200) -> Probe:
    """It answers GET with this status. By hand: a poll every 0.1 s for each part costs next to nothing."""

    async def probe() -> bool:
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                    return (await reader.readline()).split()[1:2] == [b"%d" % status]
                finally:
                    writer.close()
        except OSError:  # TimeoutError is one
            return False

    return probe


def server_answers(server: Server) -> Probe:
    async def probe() -> bool:
        return await asyncio.to_thread(answers, server)

    return probe
