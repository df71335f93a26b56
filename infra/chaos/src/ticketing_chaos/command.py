"""`make chaos`: hunts for a while, or with a guard off, and says what was found."""

import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from ticketing_chaos.guards import GUARDS
from ticketing_chaos.hunt import Verdict, hunt
from ticketing_chaos.saboteur import NotBack
from ticketing_chaos.story import shortest
from ticketing_common.logs import configure_logs

CONTROL_SECONDS = 12


class Settings(BaseSettings):
    """Field names in upper case are the environment variables."""

    model_config = SettingsConfigDict(frozen=True, env_ignore_empty=True)

    seconds: float = 300
    """How long the crowd and the saboteur are at it."""
    seed: int | None = None
    """Repeats what everybody wants; None: a new one."""
    guard: str | None = None
    """The negative control: this guard off, or each in turn (`all`); the checker must find something."""
    old: Path | None = None
    """Another checkout: the version that is updated from, rolled back to, and updated from again."""


def main() -> None:
    configure_logs("error", "console", "chaos")
    settings = Settings()
    if settings.old and not (settings.old / "common/src").is_dir():
        sys.exit(f"OLD={settings.old} is no checkout of this repository")
    seed = settings.seed if settings.seed is not None else int(time.time())
    if settings.guard and settings.guard not in (*GUARDS, "all"):
        sys.exit(f"There is no guard {settings.guard}. There are: {', '.join(GUARDS)}, and all of them: all")
    try:
        if not settings.guard:
            sys.exit(asyncio.run(_hunt(settings.seconds, seed, settings.old)))
        guards = list(GUARDS) if settings.guard == "all" else [settings.guard]
        sys.exit(max([asyncio.run(_control(guard, seed)) for guard in guards]))
    except KeyboardInterrupt:
        sys.exit(130)


async def _hunt(seconds: float, seed: int, old: Path | None) -> int:
    print(f"Seed {seed}, {seconds:g} s. To repeat it: make chaos SEED={seed} SECONDS={seconds:g}")
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    try:
        verdict = await hunt(folder, seconds, seed, say=_say, old=old)
    except ExceptionGroup as group:
        lost, others = group.split(NotBack)
        if lost is None or others:
            raise
        print(f"\n{lost.exceptions[0]}\nWhat the parts said is in {folder}/logs.")
        return 1
    print(figures(verdict))
    if not verdict.found:
        print("No promise was broken.")
        shutil.rmtree(folder)  # the databases of half an hour are 700 MB
        return 0
    for promise, count in Counter(each.promise for each in verdict.found).items():
        broken = [each for each in verdict.found if each.promise == promise]
        print(f"\n{promise}: broken {count} times, for one\n")
        print("\n".join(shortest(verdict.evidence, broken)))
    print(f"\nThe history is {folder}/history.jsonl, what the parts said in {folder}/logs.")
    return 1


async def _control(guard: str, seed: int) -> int:
    print(f"Without {guard} ({GUARDS[guard].what}):")
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        verdict = await hunt(Path(folder), CONTROL_SECONDS, seed, lambda _: None, guard)
    if verdict.found:
        print(f"  the checker sees it: {shortest(verdict.evidence, verdict.found)[0][:200]}")
        return 0
    print("  THE CHECKER SEES NOTHING")
    return 1


def figures(verdict: Verdict) -> str:
    """What the hunt was, in numbers."""
    evidence, history = verdict.evidence, verdict.evidence.history
    statuses = Counter(str(call.status or "no answer") for call in history.calls)
    ends = Counter(order["reason"] or order["status"] for order in evidence.orders.values())
    means = Counter(part.rpartition(" ")[0] for deed in history.deeds for part in deed.what.split(" and "))
    taken = sum(intent.taken > 0 for intent in evidence.intents)
    given_back = sum(intent.given_back > 0 for intent in evidence.intents)
    recoveries = sorted((d.recovered_in, d.what) for d in history.deeds if d.recovered_in is not None)
    slowest = "; ".join(f"{seconds:.1f} s after {what}" for seconds, what in recoveries[:-4:-1])
    median = recoveries[len(recoveries) // 2][0] if recoveries else 0
    return "\n".join(
        [
            f"requests   {len(history.calls)}: {dict(statuses.most_common())}",
            f"tickets    {len(evidence.tickets)}, orders {len(evidence.orders)}: {dict(ends.most_common())}",
            f"money      {len(evidence.intents)} PaymentIntents, {taken} captured, {given_back} given back",
            f"events     {len(evidence.events)}",
            f"deeds      {len(history.deeds)}: {dict(means.most_common())}",
            f"recovery   until a purchase went through: median {median:.1f} s, slowest {slowest}",
            f"quiet      {verdict.quiet_after:.1f} s after the crowd went home",
        ]
    )


def _say(line: str) -> None:
    print(f"  {line}", flush=True)


if __name__ == "__main__":
    main()
