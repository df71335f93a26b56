"""`make bench`: reads the settings, runs the benchmarks, and shows and saves the results."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict
from rich.console import Console

from ticketing_bench.bench import Scope, run
from ticketing_bench.load import UnexpectedStatus
from ticketing_common.observability.logs import configure_logs
from ticketing_local.errors import StackError

_OUTPUT = Path("bench.json")
_SIZES = [1_000, 100_000, 1_000_000]


class Settings(BaseSettings):
    """Field names in upper case are the environment variables."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    round_seconds: float = Field(2.0, gt=0)
    """The length of each round of load."""
    documents: int = Field(_SIZES[-1], ge=_SIZES[0])
    """The largest number of tickets."""
    workers: int = Field(1, ge=1, le=2)
    """2: also measure a second process of tickets and orders."""


def main() -> int:
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # shows progress in a pipe, too
    console = Console(width=None if sys.stdout.isatty() else 140)
    try:
        settings = Settings()
    except ValidationError as error:
        console.print(f"Invalid environment variables: {error}")
        return 1
    configure_logs("error", "console", "bench")
    sizes = [size for size in _SIZES if size < settings.documents] + [settings.documents]
    scope = Scope(settings.round_seconds, sizes, two_workers=settings.workers == 2)
    try:
        with tempfile.TemporaryDirectory(prefix="ticketing-bench-") as folder:
            results = asyncio.run(run(scope, Path(folder)))
    except (StackError, UnexpectedStatus, TimeoutError) as error:
        console.print(f"[red]The benchmark failed: {type(error).__name__}[/]", str(error), markup=False)
        return 1
    results.show(console)
    _OUTPUT.write_text(json.dumps(results.to_json(), indent=2) + "\n")
    console.print(f"All figures are in {_OUTPUT.absolute()}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
