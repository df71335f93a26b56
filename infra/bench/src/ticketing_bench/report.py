"""The results as tables and plots in a terminal."""

import plotext  # type: ignore[import-untyped]
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ticketing_bench.growth import cost
from ticketing_bench.latency import Times
from ticketing_bench.measure import Figures
from ticketing_bench.results import RATIO_AT_LEAST, Results, verdicts

BUSY = 0.5
"""The load average before the run from which on its figures are those of a shared machine."""


def show(results: Results, console: Console) -> None:
    load = results.machine["load_before"]
    if load > BUSY:
        console.print(f"[yellow]This machine was busy (load average {load:.1f}): believe ratios only.[/]\n")
    _routes(results, console)
    _plot_ratios(results, console)
    _times(results, console)
    _processes(results, console)
    if results.growth:
        _growth(results, console)
    if results.workers:
        _workers(results, console)
    _verdicts(results, console)


def _routes(results: Results, console: Console) -> None:
    table = _table(
        "Routes", "", "requests/s", "share", "by CPU", "p50 ms", "p99 ms", "CPU ms", "mongod ms", "client"
    )
    for name, route in results.routes.items():
        table.add_row(name, _rate(route.market), "", "", *_costs(route.market), style="bold")
        for floor, figures in route.floors.items():
            shares = f"{route.ratio(floor):.2f}", f"{route.cpu_ratio(floor):.2f}"
            table.add_row(f"  floor: {floor}", _rate(figures), *shares, *_costs(figures))
    if results.ingress:
        table.add_row(
            "one ticket, through the ingress", _rate(results.ingress), "", "", *_costs(results.ingress)
        )
    console.print(table)
    console.print(
        "share: of the floor's throughput; by CPU: the same by the processor time of who answers, which\n"
        "others hardly disturb. CPU, mongod: processor time a request. client: the load generator's share\n"
        "of a core; near 100 % it measures itself.\n"
    )


def _plot_ratios(results: Results, console: Console) -> None:
    names = [f"{n} / {floor}" for n, route in results.routes.items() for floor in route.floors]
    ratios = [route.ratio(floor) for route in results.routes.values() for floor in route.floors]
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.simple_bar(names, ratios, width=100, title="share of the floor's throughput")
    _plot(console)
    least = ", ".join(f"{name} {bound}" for name, bound in RATIO_AT_LEAST.items())
    console.print(f"Targets, at least: {least}\n")


def _times(results: Results, console: Console) -> None:
    table = _table("What follows an answer", "", "count", "p50 ms", "p99 ms", "max ms", "min ms")
    rows: list[tuple[str, Times | None]] = [
        ("order's 201 to the ticket's lock, idle", results.event_latency),
        ("listing's 201 to the 201 of its order, idle", results.listing_latency),
        ("an order's time to its cancellation", results.expiry),
    ]
    if bought := results.purchases:
        rows.append((f"purchase, {bought.buyers} buyers, {bought.per_second:.0f}/s", bought.times))
    for name, found in rows:
        if found:
            cuts = (found.p50_ms, found.p99_ms, found.max_ms, found.min_ms)
            table.add_row(name, str(found.count), *(f"{cut:.1f}" for cut in cuts))
    console.print(table)


def _processes(results: Results, console: Console) -> None:
    table = _table("Processes", "", "start s", "of it CPU", "peak MB", "resident MB", "proportional MB")
    for name, found in results.memory.items():
        start = results.starts.get(name)
        seconds = (f"{start.seconds:.2f}", f"{start.cpu_seconds:.2f}") if start else ("", "")
        sizes = (found.peak, found.resident, found.proportional)
        table.add_row(name, *seconds, *(f"{size:.0f}" for size in sizes))
    console.print(table)


def _growth(results: Results, console: Console) -> None:
    table = _table("Growth", "tickets, and as many orders", *results.growth[min(results.growth)])
    fewest = results.growth[min(results.growth)]
    for size, routes in results.growth.items():
        cells = [
            f"{_rate(figures)}/s  {cost(figures):.2f} ms  x{cost(figures) / cost(fewest[name]):.2f}"
            for name, figures in routes.items()
        ]
        table.add_row(f"{size:,}", *cells)
    console.print(table)
    console.print(
        "ms: processor time a request, the store's included; x: as a multiple of the first row's.\n"
    )
    if len(results.growth) > 1:
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plot_size(100, 16)
        plotext.xscale("log")
        for name in fewest:
            factors = [cost(routes[name]) / cost(fewest[name]) for routes in results.growth.values()]
            plotext.plot(list(results.growth), factors, label=name)
        plotext.ylim(0, None)
        plotext.title("cost of a request by the number of tickets, as a multiple of the first")
        _plot(console)


def _workers(results: Results, console: Console) -> None:
    table = _table("Workers", "", "1: requests/s", "2: requests/s", "times", "1: CPU ms", "2: CPU ms")
    for name, (one, two) in results.workers.items():
        rates = (_rate(one), _rate(two), f"{two.per_second / one.per_second:.2f}")
        table.add_row(name, *rates, f"{one.cpu_ms:.2f}", f"{two.cpu_ms:.2f}")
    console.print(table)


def _verdicts(results: Results, console: Console) -> None:
    table = _table("Targets", "", "found", "target", "")
    found = verdicts(results)
    for verdict in found:
        bound = f"{'>=' if verdict.at_least else '<='} {verdict.bound:g} {verdict.unit}"
        mark = "[green]met[/]" if verdict.met else "[bold red]missed[/]"
        table.add_row(verdict.what, f"{verdict.found:.2f} {verdict.unit}", bound, mark)
    console.print(table)
    missed = [verdict.what for verdict in found if not verdict.met]
    console.print(f"Missed: {'; '.join(missed)}" if missed else "Every target is met.")


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first)
    for other in others:
        table.add_column(other, justify="right")
    return table


def _rate(figures: Figures) -> str:
    return f"{figures.per_second:,.0f}"


def _costs(figures: Figures) -> list[str]:
    numbers = (figures.p50_ms, figures.p99_ms, figures.cpu_ms, figures.store_cpu_ms)
    return [*(f"{number:.2f}" for number in numbers), f"{figures.client_cpu:.0%}"]


def _plot(console: Console) -> None:
    console.print(Text.from_ansi(plotext.build()))
    console.print()
