"""Spot checks after a run: rows that are there and are not good enough, per processor and date."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.reports.snapshot import Snapshot, take_snapshot
from backfilld.daemon.warehouses.adapter import Warehouse
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.verdict import Evidence, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class DateQuality:
    """What one date's rows lack. `below` counts the rows that do not hold the quality predicate."""

    rows: int
    below: int
    empty_counts: Mapping[str, int]
    """Rows with NULL or zero, by column, where there are any."""
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorQuality:
    """One processor that states what good rows are. `dates` holds only those with something to tell."""

    processor: str
    phase: str
    where: str
    """The predicate that good rows hold; empty where only filled columns are asked for."""
    columns: Sequence[str]
    """The columns that must be filled."""
    rows: int
    below: int
    percent_good: float | None
    """Share of rows that hold the predicate, 0 to 100; None without rows or predicate."""
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
    """Processors that state nothing to check."""
    good: bool
    """Whether no rule is broken on any date, and every table answered."""
    summary: str


def quality(
    pipeline: Pipeline, warehouse: Warehouse, start: dt.date, end: dt.date, *, now: float
) -> QualityReport:
    """Count the rows below each processor's standard from `start` to `end`, both included.

    Raises:
        WarehouseError: the calendar, or everything in the warehouse, could not be asked.
        ValueError: `start` is after `end`.
    """
    if start > end:
        raise ValueError(f"start {start} is after end {end}")
    seen = take_snapshot(pipeline, warehouse, start, end, now=now, purpose="quality")
    checked = [_processor(pipeline, p, seen) for p in pipeline.processors.values() if _states_quality(p)]
    broken = sum(p.degraded_dates for p in checked)
    unknown = sum(p.unknown_dates for p in checked)
    return QualityReport(
        start=start,
        end=end,
        dates=len(list(seen.in_range())),
        processors=checked,
        unchecked=[name for name, p in pipeline.processors.items() if not _states_quality(p)],
        good=not broken and not unknown,
        summary=_summary(checked, broken, unknown),
    )


def _states_quality(processor: Processor) -> bool:
    return processor.expect.quality is not None or processor.expect.filled is not None


def _processor(pipeline: Pipeline, processor: Processor, seen: Snapshot) -> ProcessorQuality:
    dates = dict(_dates(processor, seen))
    rule = processor.expect.quality
    below = sum(date.below for date in dates.values())
    answers = [seen.answers.get((processor.name, day.date)) for day in seen.expected()]
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


def _dates(processor: Processor, seen: Snapshot) -> Iterator[tuple[dt.date, DateQuality]]:
    """The dates on which some row is below the standard, or nobody could say."""
    for day in seen.expected():
        evidence = seen.answers.get((processor.name, day.date))
        if evidence is None:
            continue
        check = seen.checks[day.date][processor.name]
        below, empty_counts = _below(evidence), {name: n for name, n in evidence.empty_counts.items() if n}
        if below or empty_counts or check.verdict is Verdict.UNKNOWN:
            told = DateQuality(
                rows=evidence.rows,
                below=below,
                empty_counts=empty_counts,
                verdict=check.verdict,
                reason=check.reason,
            )
            yield day.date, told


def _below(evidence: Evidence) -> int:
    return 0 if evidence.passing_rows is None or evidence.error else evidence.rows - evidence.passing_rows


def _summary(checked: Sequence[ProcessorQuality], broken: int, unknown: int) -> str:
    below, rows = sum(p.below for p in checked), sum(p.rows for p in checked)
    if not rows and not unknown:
        return "there are no rows to check"
    told = f"{below} of {rows} rows are below their standard; {broken} (processor, date) pairs break a rule"
    return told + (f", {unknown} could not be asked" if unknown else "")
