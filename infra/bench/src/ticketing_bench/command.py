"""`make bench`: what it is told, the run, and the results on the terminal and in a file."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console

from ticketing_bench import bench, growth, report
from ticketing_bench.bench import Extent
from ticketing_bench.load import BadAnswer
from ticketing_common.logs import configure_logs
from ticketing_local.errors import StackError

OUTPUT = Path("bench.json")


class Settings(BaseSettings):
    """Field names in upper case are the environment variables."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    round_seconds: float = Field(2.0, gt=0)
    """How long each round of load is."""
    documents: int = Field(1_000_000, ge=growth.SIZES[0])
    """To how many tickets the market grows."""
    workers: int = Field(1, ge=1, le=2)
    """2: measure what a second process of tickets and orders adds, too."""


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        settings = Settings()
    except ValidationError as error:
        console.print(f"The environment is not right: {error}")
        return 1
    configure_logs("error", "console", "bench")
    sizes = [size for size in growth.SIZES if size < settings.documents] + [settings.documents]
    extent = Extent(settings.round_seconds, sizes, two_workers=settings.workers == 2)
    try:
        with tempfile.TemporaryDirectory(prefix="ticketing-bench-") as folder:
            results = asyncio.run(bench.run(extent, Path(folder), console.print))
    except (StackError, BadAnswer, TimeoutError) as error:
        console.print(f"[red]Nothing can be said: {type(error).__name__}[/]", str(error), markup=False)
        return 1
    console.print()
    report.show(results, console)
    OUTPUT.write_text(json.dumps(results.as_json(), indent=2) + "\n")
    console.print(f"All figures: {OUTPUT.absolute()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
