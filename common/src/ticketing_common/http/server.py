"""Runs an app under uvicorn until a signal, with a stop that loses no request."""

import contextlib
import os
import signal
import socket
import sys
from types import FrameType

import uvicorn
from fastapi import FastAPI

from ticketing_common.config import Settings

STOP_TIMEOUT = 10
"""Seconds for requests and background jobs to end after a signal."""


class Server(uvicorn.Server):
    """Sets `app.state.draining` when the server stops, so that event streams end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.started:
            # uvicorn would wait until the app has started, which waits for MongoDB. No request is being
            # served yet, and an exception raised here could be caught by any code that runs at this moment.
            os._exit(0)
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.config.app.state.draining.set()  # type: ignore[union-attr]
        await super().shutdown(sockets)


def serve(app: FastAPI, settings: Settings) -> None:
    """Run the app until SIGTERM or SIGINT. Requests in flight are answered first."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=STOP_TIMEOUT,
        timeout_keep_alive=65,  # longer than the ingress's, so that it never sends to a closed connection
    )
    server = Server(config)
    # uvicorn stops on a signal and then raises it again; a regular stop exits with status 0.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(3)  # as `uvicorn` itself does if an app does not start
