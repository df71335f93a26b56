"""`make chaos`: runs an experiment, or the negative controls, and prints what was found."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketing_chaos.counterexample import describe
from ticketing_chaos.experiment import run_experiment
from ticketing_chaos.guards import GUARDS
from ticketing_chaos.injector import NotRecovered
from ticketing_chaos.invariants import find_violations
from ticketing_chaos.snapshot import Snapshot
from ticketing_common.observability.logs import configure_logs

CONTROL_SECONDS = 12


class Settings(BaseSettings):
    """Field names in upper case are the environment variables."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    seconds: float = 300
    seed: int | None = None  # repeats the decisions of an earlier experiment
    guard: str | None = None  # run the negative control of this guard, or of each (`all`)
    old: Path | None = None  # another checkout: the version to update from


def main() -> None:
    configure_logs("error", "console", "chaos")
    settings = Settings()
    if settings.old and not (settings.old / "common/src").is_dir():
        sys.exit(f"OLD={settings.old} is not a checkout of this repository.")
    if settings.guard and settings.guard not in (*GUARDS, "all"):
        sys.exit(f"Unknown guard {settings.guard}. Use all, or one of: {', '.join(GUARDS)}")
    seed = settings.seed if settings.seed is not None else int(time.time())
    try:
        if settings.guard:
            guards = list(GUARDS) if settings.guard == "all" else [settings.guard]
            sys.exit(max([_run_negative_control(guard, seed) for guard in guards]))
        sys.exit(_run_experiment(settings.seconds, seed, settings.old))
    except KeyboardInterrupt:
        sys.exit(130)


def _run_experiment(seconds: float, seed: int, old: Path | None) -> int:
    print(f"Seed {seed}, {seconds:g} s. Repeat with: make chaos SEED={seed} SECONDS={seconds:g}")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        snapshot = asyncio.run(run_experiment(folder, seconds, seed, old=old))
    except ExceptionGroup as group:
        not_recovered, others = group.split(NotRecovered)
        if not_recovered is None or others:
            raise
        print(f"\n{not_recovered.exceptions[0]}\nThe logs are in {folder}/logs.")
        return 1
    print(summarize(snapshot))
    violations = find_violations(snapshot)
    if not violations:
        print("No invariant was violated.")
        shutil.rmtree(folder)  # 700 MB after half an hour
        return 0
    for name, found in violations.items():
        print(f"\nViolated {len(found)} times: {name}. The shortest counterexample:\n")
        print("\n".join(sorted((describe(snapshot, each) for each in found), key=len)[0]))
    print(f"\nThe history is in {folder}/history.jsonl, the logs in {folder}/logs.")
    return 1


def _run_negative_control(guard: str, seed: int) -> int:
    print(f"Without {guard} ({GUARDS[guard].description}):", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        snapshot = asyncio.run(run_experiment(Path(folder), CONTROL_SECONDS, seed, guard))
    violations = find_violations(snapshot)
    for name, found in violations.items():
        print(f"  violated {len(found)} times: {name}: {found[0].description[:120]}")
    print("  The guard is needed." if violations else "  NO VIOLATION FOUND", flush=True)
    return 0 if violations else 1


def summarize(snapshot: Snapshot) -> str:
    faults = snapshot.history.faults
    statuses = Counter(str(request.status or "no response") for request in snapshot.history.requests)
    ends = Counter(order["reason"] or order["status"] for order in snapshot.orders.values())
    kinds = Counter(each.split()[0] for fault in faults for each in fault.description.split(", "))
    recoveries = sorted((f.recovered_in, f.description) for f in faults if f.recovered_in is not None)
    median, slowest = recoveries[len(recoveries) // 2][0], recoveries[-1]
    return f"""\
requests   {dict(statuses.most_common())}
orders     {dict(ends.most_common())}, of {len(snapshot.tickets)} tickets, in {len(snapshot.events)} events
faults     {dict(kinds.most_common())}
recovery   median {median:.1f} s, slowest {slowest[0]:.1f} s after {slowest[1]}"""


if __name__ == "__main__":
    main()
