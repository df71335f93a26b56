"""Where there is no machine: what each part needs at a rate of purchases, and what a hot on-sale does.

    python -m ticketing_bench.simulation

The first is arithmetic on what `ticketing_bench.cost` has counted. The second is a discrete-event simulation
of the orders service alone, with and without a waiting room in front of it.
"""

import heapq
import math
import random
from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

RATES = (10, 1_000, 100_000)
"""Purchases a second."""
BUSY = 0.6
"""The share of what a unit can do that is planned with; the rest is for peaks and for a unit that is lost."""


@dataclass(frozen=True)
class Part:
    """Something that saturates: how much of it a purchase takes, and how much one unit has in a second."""

    name: str
    takes: float
    has: float
    unit: str

    def units(self, purchases_a_second: float) -> int:
        return math.ceil(purchases_a_second * self.takes / (self.has * BUSY))

    @property
    def limit(self) -> float:
        """The purchases a second at which one unit is wholly busy."""
        return self.has / self.takes


CORE = 1000.0
"""Milliseconds of processor time in a second of one core; a process of a service uses one."""
MONGOD_CORES = 4 * CORE
"""Assumed: the machine of a primary."""
STREAM_MESSAGES = 4_900.0
"""Messages a second that one stream on one server took with `sync_interval: always` and 64 publishers."""
STRIPE_A_SECOND = 25.0
"""Calls of one endpoint in live mode, by Stripe's documentation of its rate limits; more by arrangement."""

# Counts, and milliseconds of processor time, from `python -m ticketing_bench.cost` on two shared cores. What
# mongod takes is split between the databases by their operations, which it does not tell apart itself.
PARTS = (
    Part("Stripe: create, confirm and capture", 1, STRIPE_A_SECOND, "account"),
    Part("payments", 54, CORE, "process"),
    Part("orders", 14, CORE, "process"),
    Part("tickets", 10, CORE, "process"),
    Part("expiration", 7, CORE, "process"),
    Part("ingress", 8, CORE, "core"),
    Part("NATS: processor", 8, 4 * CORE, "server of 4 cores"),
    Part("NATS: messages on disk", 5, STREAM_MESSAGES, "stream"),
    Part("MongoDB of payments", 13.5, MONGOD_CORES, "shard"),
    Part("MongoDB of orders", 7, MONGOD_CORES, "shard"),
    Part("MongoDB of tickets", 4, MONGOD_CORES, "shard"),
    Part("MongoDB of expiration", 2.5, MONGOD_CORES, "shard"),
    Part("Redis: commands", 6, 50_000, "server"),  # assumed
    Part("auth, where each signs in once", 45, CORE, "process"),
)


@dataclass(frozen=True)
class OnSale:
    """A hot on-sale: many buyers for few tickets at the same moment. Times in seconds."""

    buyers: int = 100_000
    tickets: int = 10_000
    arrive_within: float = 10.0
    processes: int = 8
    """Of the orders service: what the autoscaler goes up to."""
    order_takes: float = 0.008
    """Processor time of one try to order, refused or not, with the event that follows."""
    patience: float = 10.0
    """After that a client gives a request up, and repeats it."""
    repeats: int = 3
    """How often a client repeats what was not answered."""
    picks: int = 5
    """How many tickets a buyer tries, each refused as reserved, before going away."""
    think: float = 1.0
    """From one click to the next, on average."""
    page_age: float = 1.0
    """How old what a buyer sees of the tickets is."""


@dataclass
class Outcome:
    """What buyers met with, from the moment that they wanted to order."""

    bought: int = 0
    sold_out: int = 0
    """Were told that nothing is left."""
    unlucky: int = 0
    """Went away after so many tickets that somebody else had."""
    gave_up: int = 0
    """Went away without an answer."""
    for_nobody: int = 0
    """Orders made for a client that had stopped waiting: they hold their tickets until they expire."""
    tries: int = 0
    unanswered: int = 0
    """Tries that the client stopped waiting for."""
    waits: list[float] = field(default_factory=list)
    """Of each answered try."""
    sold_after: float = 0.0
    """When the last ticket was taken."""
    in_room: list[float] = field(default_factory=list)
    """How long each waited to be let in, or to hear that nothing is left."""


@dataclass
class _Try:
    buyer: int
    begun: float
    abandoned: bool = False


def simulate(sale: OnSale, admitted_per_second: float | None, seed: int = 1) -> Outcome:
    """One on-sale. With a rate, buyers wait in a room and are let in at it, first come first served."""
    return _Simulation(sale, admitted_per_second, random.Random(seed)).run()


class _Simulation:
    def __init__(self, sale: OnSale, admitted_per_second: float | None, chance: random.Random) -> None:
        self._sale, self._rate, self._chance = sale, admitted_per_second, chance
        self._events: list[tuple[float, int, str, object]] = []
        self._order = count()
        self._queue: deque[_Try] = deque()
        self._free = sale.processes
        self._sold: list[float] = []
        """When each ticket was taken."""
        self._picks: Counter[int] = Counter()
        self._repeats: Counter[int] = Counter()
        self._outcome = Outcome()

    def run(self) -> Outcome:
        arrivals = sorted(self._chance.uniform(0, self._sale.arrive_within) for _ in range(self._sale.buyers))
        for buyer, arrival in enumerate(arrivals):
            let_in = max(arrival, buyer / self._rate) if self._rate else arrival
            self._at(let_in, "click", buyer)
        while self._events:
            now, _, kind, what = heapq.heappop(self._events)
            getattr(self, f"_{kind}")(now, what)
        over = self._outcome.sold_after + self._sale.page_age
        if self._rate:
            waits = (min(buyer / self._rate, over) - arrival for buyer, arrival in enumerate(arrivals))
            self._outcome.in_room = [max(0.0, wait) for wait in waits]
        return self._outcome

    def _at(self, when: float, kind: str, what: object) -> None:
        heapq.heappush(self._events, (when, next(self._order), kind, what))

    def _click(self, now: float, buyer: int) -> None:
        """The buyer picks one of the tickets that the page shows as free."""
        if self._shown_free(now) == 0:
            self._outcome.sold_out += 1
            return
        asked = _Try(buyer, now)
        self._outcome.tries += 1
        self._at(now + self._sale.patience, "impatient", asked)
        self._queue.append(asked)
        self._serve(now)

    def _serve(self, now: float) -> None:
        if self._free and self._queue:
            self._free -= 1
            self._at(now + self._sale.order_takes, "answer", self._queue.popleft())

    def _answer(self, now: float, asked: _Try) -> None:
        self._free += 1
        self._serve(now)
        shown = self._shown_free(asked.begun)
        got_it = self._chance.random() < (self._sale.tickets - len(self._sold)) / shown
        if got_it:
            self._sold.append(now)
            self._outcome.sold_after = now
        if asked.abandoned:
            self._outcome.for_nobody += got_it
            return
        asked.abandoned = True  # it is answered, and nobody waits for it any more
        self._outcome.waits.append(now - asked.begun)
        if got_it:
            self._outcome.bought += 1
            return
        self._picks[asked.buyer] += 1
        if self._picks[asked.buyer] < self._sale.picks:
            self._click_later(now, asked.buyer)
        else:
            self._outcome.unlucky += 1

    def _impatient(self, now: float, asked: _Try) -> None:
        if asked.abandoned:
            return
        asked.abandoned = True  # the service does not notice: it works on what is in its queue
        self._outcome.unanswered += 1
        self._repeats[asked.buyer] += 1
        if self._repeats[asked.buyer] <= self._sale.repeats:
            self._click_later(now, asked.buyer)
        else:
            self._outcome.gave_up += 1

    def _click_later(self, now: float, buyer: int) -> None:
        self._at(now + self._chance.expovariate(1 / self._sale.think), "click", buyer)

    def _shown_free(self, now: float) -> int:
        """How many tickets a page shows as free that is as old as pages are."""
        return self._sale.tickets - bisect_right(self._sold, now - self._sale.page_age)


def percentile(values: list[float], percent: int) -> float:
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)] if values else 0.0


def main() -> None:
    print(f"{'part':42}{'one is full at':>16}" + "".join(f"{f'{rate:,}/s':>12}" for rate in RATES) + "  unit")
    for part in PARTS:
        needs = "".join(f"{part.units(rate):>12,}" for rate in RATES)
        print(f"{part.name:42}{part.limit:>14,.0f}/s{needs}  {part.unit}")
    sale = OnSale()
    print(f"\n{sale}\n")
    room = 0.5 * sale.processes / sale.order_takes  # half of what they can: one may need several tries
    found = {"no waiting room": simulate(sale, None), f"{room:.0f}/s let in": simulate(sale, room)}
    print(f"{'':36}" + "".join(f"{name:>18}" for name in found))
    for what, of in ROWS.items():
        print(f"{what:36}" + "".join(f"{of(outcome):>18}" for outcome in found.values()))


ROWS: dict[str, Callable[[Outcome], str]] = {
    "buyers with a ticket": lambda o: f"{o.bought:,}",
    "told that nothing is left": lambda o: f"{o.sold_out + o.unlucky:,}",
    "gave up without an answer": lambda o: f"{o.gave_up:,}",
    "tickets held, their buyers not told": lambda o: f"{o.for_nobody:,}",
    "tries": lambda o: f"{o.tries:,}",
    "tries without an answer in time": lambda o: f"{o.unanswered:,}",
    "answer, p50 and p99, s": lambda o: f"{percentile(o.waits, 50):.2f}, {percentile(o.waits, 99):.2f}",
    "in the room, p50 and most, s": lambda o: (
        f"{percentile(o.in_room, 50):.0f}, {percentile(o.in_room, 100):.0f}"
    ),
    "all tickets taken after, s": lambda o: f"{o.sold_after:.0f}",
}


if __name__ == "__main__":
    main()
