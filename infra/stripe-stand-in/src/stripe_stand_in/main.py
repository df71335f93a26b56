"""Owns the start and the end: settings, store and application put together, served until a signal."""

import logging
import os
import signal
import sqlite3
import sys

import uvicorn
from starlette.applications import Starlette

from stripe_stand_in import api, settings
from stripe_stand_in.settings import Settings, SettingsError
from stripe_stand_in.store import Store


def create(chosen: Settings) -> Starlette:
    return api.build(Store(chosen.data_dir), chosen)


def main() -> None:
    try:
        chosen = settings.from_environment(os.environ)
    except SettingsError as error:
        sys.exit(f"stripe-stand-in: {error}")
    logging.basicConfig(stream=sys.stdout, level=chosen.log_level.upper(), format="%(message)s")
    # uvicorn would tell of each start and stop in six lines.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # An answer that is cut off on demand is no error here.
    logging.getLogger("uvicorn.error").addFilter(
        lambda record: "without completing" not in record.getMessage()
    )
    # uvicorn stops on these two by itself and then raises them again: without this the exit status is not 0.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    logging.info("stripe-stand-in: http://%s:%d, state in %s", chosen.host, chosen.port, chosen.data_dir)
    try:
        app = create(chosen)
    except (OSError, sqlite3.Error) as error:
        sys.exit(f"stripe-stand-in: can't keep its state in DATA_DIR {chosen.data_dir}: {error}")
    config = uvicorn.Config(
        app,
        host=chosen.host,
        port=chosen.port,
        log_config=None,
        access_log=False,
        server_header=False,
        # Longer than any client keeps one: at uvicorn's 5 s, which are httpx's too, calls meet closing ones.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=2,
    )
    uvicorn.Server(config).run()


if __name__ == "__main__":
    main()
