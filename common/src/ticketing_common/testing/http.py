"""A service's app behind a real HTTP server, for tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from fastapi import FastAPI

from ticketing_common.http.server import Server
from ticketing_common.testing.servers import free_port


@asynccontextmanager
async def serve_app(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Serves the app on a free port in this event loop; yields a client for it."""
    port = free_port()
    server = Server(uvicorn.Config(app, port=port, log_config=None, access_log=False))
    # Not `serve`, which would replace the signal handlers of the test runner.
    serving = asyncio.create_task(server._serve())
    while not server.started:
        if serving.done():
            await serving
            raise RuntimeError("the app did not start")
        await asyncio.sleep(0.005)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        await serving
