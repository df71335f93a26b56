"""The disk with the market's data: whether it has room, and the sentence that says what to do if not."""

import asyncio
import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from ticketing_local.console import Console
from ticketing_local.errors import StackError

NEEDED_BYTES = 100_000_000
"""A new market takes some 40 MB."""
WATCH_INTERVAL = 5.0


def describe_full_disk(folder: Path) -> str | None:
    """What to do about too little free space for this folder; None while there is enough."""
    free = shutil.disk_usage(folder).free
    if free >= NEEDED_BYTES:
        return None
    return (
        f"The disk is full: {folder.absolute()} has {free // 1_000_000} MB free, and the market needs "
        f"{NEEDED_BYTES // 1_000_000} MB. Free some space, or use another folder, DATA_DIR=... make up."
    )


@contextlib.contextmanager
def disk_errors_reported(folder: Path) -> Iterator[None]:
    """Refuse to go on without enough space; raises StackError for this and for any file error inside."""
    try:
        if problem := describe_full_disk(folder):
            raise StackError(problem)
        yield
    except OSError as error:
        raise StackError(
            f"{error.filename or folder.absolute()} cannot be written ({error.strerror}): "
            "make room or give permission, or use another folder, DATA_DIR=... make up."
        ) from None


async def watch_disk(folder: Path, console: Console) -> None:
    """Say once when the disk becomes full, and once when it has room again; never returns."""
    was_full = False
    while True:
        problem = describe_full_disk(folder)
        if problem and not was_full:
            console.warn(f"{problem} Until then stores stop or refuse writes.")
        elif was_full and not problem:
            console.warn("The disk has enough space again.")
        was_full = bool(problem)
        await asyncio.sleep(WATCH_INTERVAL)
