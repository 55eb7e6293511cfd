"""How much damage the rules would not see: fixed damages of complete dates, judged by the engine's rules."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.reports.current_verdicts import Snapshot, take_snapshot
from backfilld.daemon.warehouses.adapter import Warehouse
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.comparison_baseline import CompleteDates
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.judge import judge
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.simulated_data_damage import DAMAGES, LOSSES, damaged
from backfilld.state.rules.verdict import Verdict

SEEN = 0.95
"""The share of dates on which a loss must be seen to count as seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DamageCount:
    """One damage over the complete dates of a processor."""

    damage: str
    dates: int
    """How many damaged dates were judged."""
    passed: int
    """How many of them the rules call complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessorBlindness:
    """What the rules of one processor do not see."""

    processor: str
    dates: int
    """The complete dates that were damaged."""
    blind_ratio: float | None
    """The mean share of damaged dates that pass, over all damages, 0 to 1; None without complete dates."""
    smallest_loss_seen: int | None
    """The least loss of rows, in percent, that is seen on 95 % of the dates; None without one."""
    damages: Sequence[DamageCount]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlindnessReport:
    """The blindness of every processor over a range."""

    start: dt.date
    end: dt.date
    processors: Sequence[ProcessorBlindness]
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteDate:
    """A date that was judged complete, with its figures."""

    day: Day
    evidence: Evidence


def blindness(
    pipeline: Pipeline, warehouse: Warehouse, start: dt.date, end: dt.date, *, now: float
) -> BlindnessReport:
    """Damage every complete date from `start` to `end`, both included, and judge it. Damages cost no query.

    Raises:
        WarehouseError: the calendar, or the whole warehouse, could not be queried.
        ValueError: `start` is after `end`.
    """
    snapshot = take_snapshot(pipeline, warehouse, start, end, now=now, purpose="quality")
    found = [
        blindness_of(pipeline, processor, processor.expect, list(complete_dates(processor, snapshot)))
        for processor in pipeline.processors.values()
    ]
    rules = [processor.expect for processor in pipeline.processors.values()]
    sql = ["no SQL of no_rows"] if any(rule.no_rows for rule in rules) else []
    commands = ["no check command"] if pipeline.check_commands else []
    left_out = " and ".join([*sql, *commands])
    summary = _summary(found) + (f"; {left_out} runs on damaged figures" if left_out else "")
    return BlindnessReport(start=start, end=end, processors=found, summary=summary)


def complete_dates(processor: Processor, snapshot: Snapshot) -> Iterator[CompleteDate]:
    """The dates of a snapshot's range that are complete and have rows, oldest first."""
    earlier = CompleteDates()
    for date in sorted(snapshot.checks):
        check, day = snapshot.checks[date].get(processor.name), snapshot.days[date]
        if check is None or check.verdict is not Verdict.COMPLETE or not check.rows:
            continue
        evidence = snapshot.answers[processor.name, date]
        if date >= snapshot.start:
            yield CompleteDate(day=day, evidence=earlier.compared(processor, date, evidence))
        earlier.record(processor, date, check, day.counts)


def blindness_of(
    pipeline: Pipeline, processor: Processor, expect: Expectation, dates: Sequence[CompleteDate]
) -> ProcessorBlindness:
    """What rules would not see on complete dates of a processor."""
    judged, passed = Counter[str](), Counter[str]()
    for date in dates:
        for name, evidence in damaged(date.evidence, date.day, expect):
            judged[name] += 1
            passed[name] += is_complete(pipeline, processor, expect, evidence, date.day)
    shares = {name: passed[name] / count for name, count in judged.items()}
    losses = [share for share in LOSSES if shares.get(f"rows_lost_{share}", 1.0) <= 1 - SEEN]
    return ProcessorBlindness(
        processor=processor.name,
        dates=len(dates),
        blind_ratio=round(sum(shares.values()) / len(shares), 4) if shares else None,
        smallest_loss_seen=min(losses, default=None),
        damages=[
            DamageCount(damage=name, dates=judged[name], passed=passed[name])
            for name in DAMAGES
            if judged[name]
        ],
    )


def is_complete(
    pipeline: Pipeline, processor: Processor, expect: Expectation, evidence: Evidence, day: Day
) -> bool:
    """Whether rules call figures complete, without regard to any run. No check command runs."""
    context = pipeline.judge_context(processor, now=0.0, runs_checks=False)
    return judge(evidence, expect, day, context).verdict is Verdict.COMPLETE


def blind_ratios(report: BlindnessReport) -> Mapping[str, float]:
    """The blind ratio of each processor that has one."""
    return {one.processor: one.blind_ratio for one in report.processors if one.blind_ratio is not None}


def _summary(found: Sequence[ProcessorBlindness]) -> str:
    known = [one.blind_ratio for one in found if one.blind_ratio is not None]
    if not known:
        return "there are no complete dates to damage"
    worst = max((one for one in found if one.blind_ratio is not None), key=lambda one: one.blind_ratio or 0.0)
    mean = 100 * sum(known) / len(known)
    return (
        f"{mean:.0f} % of damaged dates would pass;"
        f" {worst.processor} sees the least ({100 * (worst.blind_ratio or 0):.0f} % pass)"
    )
