"""A warehouse made of facts: rows by (processor, date), runs, and tables that are broken."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from backfilld.daemon.warehouses.adapter import Answers, Wanted, WarehouseError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.rules.evidence import Evidence, HistoryRun
from backfilld.state.rules.expectations.aggregate_types import GroupCounts
from backfilld.state.rules.expectations.rows_each import RowsEach
from backfilld.state.rules.season_calendar import Counts

Pair = tuple[str, dt.date]


def span(start: str, end: str) -> list[dt.date]:
    """The dates from one to the other, both included."""
    first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end)
    return [dt.date.fromordinal(n) for n in range(first.toordinal(), last.toordinal() + 1)]


@dataclass
class FakeWarehouse:
    """What a warehouse holds. It counts the questions it is asked."""

    pipeline: Pipeline
    calendar: Mapping[dt.date, int] = field(default_factory=dict)
    rows: dict[Pair, int] = field(default_factory=dict)
    passing_rows: dict[Pair, int] = field(default_factory=dict)
    empty_counts: dict[Pair, dict[str, int]] = field(default_factory=dict)
    closed: dict[Pair, HistoryRun] = field(default_factory=dict)
    open: dict[Pair, HistoryRun] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    refused_rules: dict[str, str] = field(default_factory=dict)
    down: str = ""
    asked: list[str] = field(default_factory=list)

    def counts(self, start: dt.date, end: dt.date) -> Mapping[dt.date, Counts]:
        self._ask("counts")
        return {date: {"games": games} for date, games in self.calendar.items() if start <= date <= end}

    def evidence(self, wanted: Wanted, *, purpose: str, stamps: Wanted | None = None) -> Answers:
        self._ask(purpose)
        return {(name, date): self._one(name, date) for name, dates in wanted.items() for date in dates}

    def rule_problem(self, processor: str, date: dt.date) -> str:
        del date
        return self.refused_rules.get(processor, "")

    def close(self) -> None:
        pass

    def fill(self, names: Iterable[str], dates: Iterable[dt.date]) -> None:
        """Give every pair what is expected of it."""
        dates = list(dates)
        for name in names:
            for date in dates:
                self.rows[name, date] = self._enough(name, date)

    def _enough(self, name: str, date: dt.date) -> int:
        expect = self.pipeline.processors[name].expect
        if expect.rows_per:
            return expect.rows_per.root["games"][0] * self.calendar[date]
        if expect.rows:
            return expect.rows.root[0]
        return self._enough(expect.ratio.of, date) if expect.ratio else 1

    def _one(self, name: str, date: dt.date) -> Evidence:
        if name in self.broken:
            return Evidence(error=self.broken[name])
        expect, rows = self.pipeline.processors[name].expect, self.rows.get((name, date), 0)
        return Evidence(
            rows=rows,
            distinct={e.column: e.count[0] * self.calendar[date] for e in expect.distinct.root}
            if expect.distinct and rows
            else {},
            distinct_keys=rows if expect.unique else None,
            groups=_even_groups(rows, expect.rows_each) if expect.rows_each and rows else None,
            passing_rows=self.passing_rows.get((name, date), rows) if expect.quality else None,
            empty_counts=self.empty_counts.get((name, date), dict.fromkeys(expect.filled.columns, 0))
            if expect.filled
            else {},
            reference=self.rows.get((expect.ratio.of, date), 0) if expect.ratio else None,
            closed=self.closed.get((name, date)),
            open=self.open.get((name, date)),
        )

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.down:
            raise WarehouseError(self.down)


def _even_groups(rows: int, rule: RowsEach) -> GroupCounts:
    """Groups of the least size that the rule allows."""
    least = max(rule.rows[0], 1)
    return GroupCounts(groups=max(rows // least, 1), too_small=0, too_large=0, smallest=least, largest=least)
