"""Readiness checks over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable

ReadinessCheck = Callable[[], Awaitable[bool]]


def http_answers(port: int, path: str, status: int = 200) -> ReadinessCheck:
    """Check whether GET returns this status. Without an HTTP client: it runs every 0.1 s for each process."""

    async def is_ready() -> bool:
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                    return (await reader.readline()).split()[1:2] == [b"%d" % status]
                finally:
                    writer.close()
        except OSError:  # includes TimeoutError
            return False

    return is_ready
