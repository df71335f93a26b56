"""The results of a run: tables of figures, and the targets."""

import operator
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Column, Table

TARGETS = [
    ("routes", "page of 50 / find", "ratio", ">=", 0.6),
    ("routes", "one ticket / find_one", "ratio", ">=", 0.6),
    ("routes", "order / insert_one", "ratio", ">=", 0.6),
    ("latency", "listing to order", "p50_ms", "<=", 12),
    ("latency", "order to lock", "p50_ms", "<=", 20),
    ("latency", "order to lock", "p99_ms", "<=", 100),
    ("latency", "expiry", "min_ms", ">=", 0),
    ("latency", "expiry", "max_ms", "<=", 1_000),
    ("starts", None, "seconds", "<=", 1.5),
    ("growth", None, "growth", "<=", 1.5),
]
"""Table, row (None: every row), column, comparison, bound."""

_COMPARISONS = {"<=": operator.le, ">=": operator.ge}
_BUSY = 0.5  # above this load average before the run, absolute figures are not comparable


@dataclass(frozen=True)
class Target:
    name: str
    value: float
    comparison: str
    bound: float

    @property
    def is_met(self) -> bool:
        return bool(_COMPARISONS[self.comparison](self.value, self.bound))


@dataclass
class Results:
    machine: dict[str, Any] = field(
        default_factory=lambda: {"cpus": os.cpu_count(), "load_before": os.getloadavg()[0]}
    )
    tables: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    """The figures of each row, by table."""

    def add(self, table: str, row: str, figures: dict[str, float]) -> None:
        self.tables.setdefault(table, {})[row] = figures

    def targets(self) -> Iterator[Target]:
        for table, row, column, comparison, bound in TARGETS:
            for name, figures in self.tables[table].items():
                if row in (None, name) and column in figures:
                    yield Target(f"{name}: {column}", figures[column], comparison, bound)

    def to_json(self) -> dict[str, Any]:
        targets = [asdict(target) | {"is_met": target.is_met} for target in self.targets()]
        return asdict(self) | {"targets": targets}

    def show(self, console: Console) -> None:
        if (load := self.machine["load_before"]) > _BUSY:
            console.print(f"[yellow]The machine was busy (load average {load:.1f}): trust only ratios.[/]")
        for title, rows in self.tables.items():
            columns = list(dict.fromkeys(name for figures in rows.values() for name in figures))
            table = Table(Column(no_wrap=True), *columns, title=title)
            for name, figures in rows.items():
                table.add_row(name, *(f"{figures[c]:,.4g}" if c in figures else "" for c in columns))
            console.print(table)
        table = Table("", "value", "target", "", title="targets")
        for each in self.targets():
            mark = "[green]met[/]" if each.is_met else "[bold red]missed[/]"
            table.add_row(each.name, f"{each.value:.4g}", f"{each.comparison} {each.bound:g}", mark)
        console.print(table)
