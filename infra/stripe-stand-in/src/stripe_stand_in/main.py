"""Starts the server from environment variables, and serves until a signal."""

import logging
import os
import signal
import sqlite3
import sys

import uvicorn

from stripe_stand_in.api import Api
from stripe_stand_in.settings import SettingsError, from_environment
from stripe_stand_in.store import Store


def main() -> None:
    try:
        settings = from_environment(os.environ)
    except SettingsError as error:
        sys.exit(f"stripe-stand-in: {error}")
    logging.basicConfig(stream=sys.stdout, level=settings.log_level.upper(), format="%(message)s")
    for name in ("uvicorn", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # uvicorn reports an answer that a fault cuts off as an error.
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: "without completing" not in record.getMessage()
    )
    # uvicorn stops on these signals and raises them again: without this the exit status is not 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    logging.info(
        "stripe-stand-in: http://%s:%d, state in %s", settings.host, settings.port, settings.data_dir
    )
    try:
        store = Store(settings.data_dir)
    except (OSError, sqlite3.Error) as error:
        sys.exit(f"stripe-stand-in: cannot store its state in DATA_DIR {settings.data_dir}: {error}")
    uvicorn.run(
        Api(store, settings).create_app(),
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        # Longer than any client keeps a connection: at 5 s, httpx's limit, requests meet closing connections.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
