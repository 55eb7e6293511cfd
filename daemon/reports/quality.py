"""Spot checks of rows: how many are below the quality rules, per processor and date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.reports.current_verdicts import Known, Snapshot, take_snapshot
from backfilld.daemon.warehouses.adapter import Warehouse
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DateQuality:
    """The rows of one date. `below` counts those that fail the quality predicate."""

    rows: int
    below: int
    empty_counts: Mapping[str, int]
    """The empty rows by column, where there are any."""
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorQuality:
    """One processor with quality rules. `dates` has those with rows below them or an unknown verdict."""

    processor: str
    phase: str
    where: str
    """The predicate of good rows; empty where only `filled` is stated."""
    columns: Sequence[str]
    """The columns of `filled`."""
    rows: int
    below: int
    percent_good: float | None
    """Share of rows that pass the predicate, 0 to 100; None without rows or predicate."""
    empty_counts: Mapping[str, int]
    degraded_dates: int
    unknown_dates: int
    dates: Mapping[dt.date, DateQuality]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityReport:
    """The spot check of a range."""

    start: dt.date
    end: dt.date
    dates: int
    processors: Sequence[ProcessorQuality]
    unchecked: Sequence[str]
    """Processors without quality rules."""
    good: bool
    """Whether no rule is broken on any date and every table could be queried."""
    summary: str


def quality(
    pipeline: Pipeline,
    warehouse: Warehouse,
    start: dt.date,
    end: dt.date,
    *,
    now: float,
    known: Known | None = None,
) -> QualityReport:
    """Count the rows below each processor's quality rules from `start` to `end`, both included.

    `known` has the results of check commands, where there is a state database.

    Raises:
        WarehouseError: the calendar, or the whole warehouse, could not be queried.
        ValueError: `start` is after `end`.
    """
    snapshot = take_snapshot(pipeline, warehouse, start, end, now=now, known=known, purpose="quality")
    checked = [
        _processor(pipeline, p, snapshot) for p in pipeline.processors.values() if _has_quality_rules(p)
    ]
    broken = sum(p.degraded_dates for p in checked)
    unknown = sum(p.unknown_dates for p in checked)
    return QualityReport(
        start=start,
        end=end,
        dates=len(list(snapshot.in_range())),
        processors=checked,
        unchecked=[name for name, p in pipeline.processors.items() if not _has_quality_rules(p)],
        good=not broken and not unknown,
        summary=_summary(checked, broken, unknown, sum(map(len, snapshot.unchecked.values()))),
    )


def _has_quality_rules(processor: Processor) -> bool:
    expect = processor.expect
    return any((expect.quality, expect.filled, expect.change, expect.no_rows, expect.check))


def _processor(pipeline: Pipeline, processor: Processor, snapshot: Snapshot) -> ProcessorQuality:
    dates = dict(_dates(processor, snapshot))
    rule = processor.expect.quality
    below = sum(date.below for date in dates.values())
    answers = [snapshot.answers.get((processor.name, day.date)) for day in snapshot.expected()]
    rows = sum(evidence.rows for evidence in answers if evidence is not None and not evidence.error)
    columns = processor.expect.filled.columns if processor.expect.filled else ()
    verdicts = [date.verdict for date in dates.values()]
    return ProcessorQuality(
        processor=processor.name,
        phase=pipeline.stage_of[processor.name].phase.name,
        where=rule.where if rule else "",
        columns=columns,
        rows=rows,
        below=below,
        percent_good=round(100 * (rows - below) / rows, 1) if rule and rows else None,
        empty_counts={
            column: sum(date.empty_counts.get(column, 0) for date in dates.values()) for column in columns
        },
        degraded_dates=verdicts.count(Verdict.DEGRADED),
        unknown_dates=verdicts.count(Verdict.UNKNOWN),
        dates=dates,
    )


def _dates(processor: Processor, snapshot: Snapshot) -> Iterator[tuple[dt.date, DateQuality]]:
    """The dates with rows below the rules, or with an unknown verdict."""
    for day in snapshot.expected():
        evidence = snapshot.answers.get((processor.name, day.date))
        if evidence is None:
            continue
        check = snapshot.checks[day.date][processor.name]
        below, empty_counts = _below(evidence), {name: n for name, n in evidence.empty_counts.items() if n}
        if below or empty_counts or check.verdict in (Verdict.DEGRADED, Verdict.UNKNOWN):
            quality_of_date = DateQuality(
                rows=evidence.rows,
                below=below,
                empty_counts=empty_counts,
                verdict=check.verdict,
                reason=check.reason,
            )
            yield day.date, quality_of_date


def _below(evidence: Evidence) -> int:
    return 0 if evidence.passing_rows is None or evidence.error else evidence.rows - evidence.passing_rows


def _summary(checked: Sequence[ProcessorQuality], broken: int, unknown: int, unchecked: int) -> str:
    if not checked:
        return "no processor has a quality standard"
    below, rows = sum(p.below for p in checked), sum(p.rows for p in checked)
    if not rows and not unknown:
        return "there are no rows to check"
    pairs = f"{pluralize(broken, '(processor, date) pair breaks', '(processor, date) pairs break')} a rule"
    found = f"{below} of {pluralize(rows, 'row')} {'is' if below == 1 else 'are'} below their standard"
    line = f"{found}; {pairs if broken else 'no rule is broken'}"
    line += f", {unknown} could not be queried" if unknown else ""
    return line + (f"; check commands not run: {unchecked}" if unchecked else "")
