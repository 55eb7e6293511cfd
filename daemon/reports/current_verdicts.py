"""The state of a range of dates in the calendar and the warehouse, judged by the engine's rules.

A snapshot takes one calendar query and one warehouse query, whatever the range. Validation, plan, quality and
preflight all start from it, and need neither a daemon nor a state database.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from backfilld.daemon.warehouses.adapter import Answers, Purpose, Wanted, Warehouse
from backfilld.state.pipeline.phase import Phase, Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow, RunMode
from backfilld.state.rules.check_command_run_freshness import current_run
from backfilld.state.rules.compared_processors import stored_reference, with_references
from backfilld.state.rules.comparison_baseline import CompleteDates
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.earlier_dates import window
from backfilld.state.rules.gates import Advance, Decision, Fail, GateContext, Wait, WaitReason, decide
from backfilld.state.rules.judge import Judgement, judge
from backfilld.state.rules.kept_waiver import is_kept
from backfilld.state.rules.processor_periods import period_key
from backfilld.state.rules.required_calendar_range import calendar_span
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict

Known = Mapping[dt.date, Mapping[str, CheckRow]]
"""Checks of a state database by date and processor: the daemon's attempts and accepted gaps."""

Checks = Mapping[str, CheckRow]
"""The checks of one date by processor."""

_DEFAULT_REASONS = {WaitReason.ATTEMPT: "an attempt that is running"}
_NOT_QUERIED = Evidence(error="the warehouse was not queried")


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingUpstream:
    """An output of an earlier date that is needed and not satisfied."""

    date: dt.date
    processor: str
    verdict: Verdict
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.date} lacks {self.processor} ({self.verdict})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The dates from `start` to `end`, both included, and those before that they depend on."""

    start: dt.date
    end: dt.date
    asked_at: float
    days: Mapping[dt.date, Day]
    """Every date, from the first that the range needs to the last of its weeks and months."""
    wanted: Wanted
    """The expected dates that were queried, by processor."""
    answers: Answers
    unexpected_rows: Mapping[str, Mapping[dt.date, int]] = field(default_factory=dict)
    """Rows by processor and date on dates of the range on which no output of it is expected."""
    checks: Known = field(default_factory=dict)
    """The verdicts of every date of the range, and of the queried dates around it."""
    failed_reruns: Mapping[str, Mapping[dt.date, str]] = field(default_factory=dict)
    """By processor and failed date: what its rerun did instead of rewriting the rows that are complete."""
    unchecked: Wanted = field(default_factory=dict)
    """By processor, the dates that are complete by the other rules, and whose check command has not run."""

    def in_range(self) -> Iterator[Day]:
        """The days of the range, oldest first."""
        return (self.days[date] for date in dates_between(self.start, self.end))

    def expected(self) -> Iterator[Day]:
        """The days of the range that the calendar expects."""
        return (day for day in self.in_range() if day.expected)

    def counts_outside_seasons(self) -> dict[dt.date, Mapping[str, int]]:
        """What the calendar counts on dates of the range that lie in no season."""
        return {day.date: day.counts for day in self.in_range() if day.has_counts_outside_seasons}

    def missing_before(self, processors: Iterable[Processor], since: dt.date) -> list[MissingUpstream]:
        """The outputs of these processors that are not satisfied from `since` to before the range."""
        names = [processor.name for processor in processors]
        early = sorted(date for date in self.checks if since <= date < self.start)
        return [missing for date in early for missing in missing_upstream_of(self.checks[date], names)]


def take_snapshot(
    pipeline: Pipeline,
    warehouse: Warehouse,
    start: dt.date,
    end: dt.date,
    *,
    now: float,
    known: Known | None = None,
    failed: Collection[dt.date] = (),
    purpose: Purpose = "validation",
) -> Snapshot:
    """Query the dates from `start` to `end`, both included, and judge the answers.

    A validation also counts the rows of each processor on dates on which it has no output. `failed` are the
    dates that failed in the daemon.

    Raises:
        WarehouseError: the calendar, or the whole warehouse, could not be queried.
        ValueError: `start` is after `end`.
    """
    if start > end:
        raise ValueError(f"start {start} is after end {end}")
    first, last = calendar_span(pipeline, pipeline.needs.starting(start), start, end)
    counts = pipeline.seasons.counts_of(dates_between(first, last), warehouse.counts(first, last))
    days = {date: pipeline.seasons.day(date, count) for date, count in counts.items()}
    wanted = _wanted(pipeline, days, start, end)
    off = _off(pipeline, days, start, end) if purpose == "validation" else {}
    names = [name for name in pipeline.processors if name in wanted or name in off]
    queried = {name: sorted({*wanted.get(name, ()), *off.get(name, ())}) for name in names}
    # The result of a check command is about one state of an output, which its write stamp shows.
    stamped = {name: queried[name] for name in pipeline.check_commands if known and name in queried}
    answers = warehouse.evidence(queried, purpose=purpose, stamps=stamped or None) if queried else {}
    unjudged = Snapshot(
        start=start,
        end=end,
        asked_at=now,
        days=days,
        wanted=wanted,
        answers=answers,
        unexpected_rows=_rows_on(off, answers),
    )
    checks, unchecked = _judge_all(pipeline, unjudged, known or {}, failed)
    reruns = _failed_reruns(checks, known or {}, failed)
    return replace(unjudged, checks=checks, unchecked=unchecked, failed_reruns=reruns)


def evaluate_gate(pipeline: Pipeline, stage: Stage, checks: Checks, context: GateContext) -> Decision:
    """The engine's decision about a date in `stage` with these checks."""
    return decide(stage, checks, replace(context, first_phase=stage.phase is pipeline.phase[0]))


def blocked_reason(decision: Wait | Fail) -> str:
    """Why a gate stays closed."""
    if isinstance(decision, Fail):
        return decision.reason
    return decision.text or _DEFAULT_REASONS.get(decision.waiting, f"the {decision.waiting}")


def closed_gates(pipeline: Pipeline, phase: Phase, snapshot: Snapshot) -> dict[dt.date, Decision]:
    """The first closed gate of the phase, for each date of the range that has one."""
    stages = [stage for stage in pipeline.stages if stage.phase is phase]
    closed: dict[dt.date, Decision] = {}
    context = GateContext(now=snapshot.asked_at, entered_at=snapshot.asked_at)
    for day in snapshot.in_range():
        decisions = (evaluate_gate(pipeline, stage, snapshot.checks[day.date], context) for stage in stages)
        first = next((d for d in decisions if not isinstance(d, Advance)), None)
        if enters(pipeline, phase, day) and first is not None:
            closed[day.date] = first
    return closed


def missing_upstream_of(checks: Checks, names: Iterable[str]) -> Iterator[MissingUpstream]:
    """The named processors that are not satisfied on a date, as a later date that needs them sees them."""
    for name in names:
        check = checks.get(name)
        if check is not None and not check.satisfied:
            yield MissingUpstream(date=check.date, processor=name, verdict=check.verdict, reason=check.reason)


def enters(pipeline: Pipeline, phase: Phase, day: Day) -> bool:
    """Whether a date goes through a phase: it is expected, and no bootstrap day that skips the phase."""
    first = next(stage for stage in pipeline.stages if stage.phase is phase)
    return day.expected and not pipeline.bypassed(first, day)


def assume_complete(check: CheckRow) -> CheckRow:
    """The check as it will be if its job completes its output."""
    return check._replace(verdict=Verdict.COMPLETE, satisfied=True, reason="", waiver_reason="")


def _wanted(
    pipeline: Pipeline, days: Mapping[dt.date, Day], start: dt.date, end: dt.date
) -> dict[str, list[dt.date]]:
    """The dates to query: the range for every processor, and around it what it needs or is compared with."""
    wanted: dict[str, set[dt.date]] = defaultdict(set)
    graph = pipeline.needs.starting(start)
    for processor in pipeline.processors.values():
        expected = {
            date for date, day in days.items() if start <= date <= end and pipeline.expects(processor, day)
        }
        days_compared = processor.expect.days_compared
        compared_from = window(start, days_compared)[0] if days_compared else start
        windows = [(processor.name, compared_from)]
        for need in graph.earlier_of(processor.name) if expected else ():
            earliest = graph.start(need, min(expected))
            windows += [(name, earliest) for name in with_references(pipeline, need.of)]
        wanted[processor.name] |= expected | _of_periods(pipeline, processor, days, expected)
        for name, earliest in windows:
            upstream = pipeline.processors[name]
            wanted[name].update(
                d for d, day in days.items() if earliest <= d < start and pipeline.expects(upstream, day)
            )
    return {name: sorted(dates) for name, dates in wanted.items() if dates}


def _of_periods(
    pipeline: Pipeline, processor: Processor, days: Mapping[dt.date, Day], expected: Iterable[dt.date]
) -> set[dt.date]:
    """The dates of the periods of some dates, on which a processor with `period` has output."""
    bounds = {period_key(processor, date)[1:] for date in expected} if processor.attempt_period else set()
    spans = (dates_between(first, last) for first, last in bounds)
    return {date for span in spans for date in span if pipeline.expects(processor, days[date])}


def _off(
    pipeline: Pipeline, days: Mapping[dt.date, Day], start: dt.date, end: dt.date
) -> dict[str, list[dt.date]]:
    """The dates of the range by processor on which no output of it is expected."""
    span = [days[date] for date in dates_between(start, end)]
    off = {
        name: [d.date for d in span if not pipeline.expects(p, d)] for name, p in pipeline.processors.items()
    }
    return {name: dates for name, dates in off.items() if dates}


def _rows_on(off: Wanted, answers: Answers) -> dict[str, dict[dt.date, int]]:
    """Rows by processor and date, for the dates on which a table has any."""
    rows = defaultdict[str, dict[dt.date, int]](dict)
    for name, date in ((name, date) for name, dates in off.items() for date in dates):
        evidence = answers.get((name, date), _NOT_QUERIED)
        if evidence.rows and not evidence.error:
            rows[name][date] = evidence.rows
    return dict(rows)


def _failed_reruns(checks: Known, known: Known, failed: Iterable[dt.date]) -> dict[str, dict[dt.date, str]]:
    """By processor and date: why the rerun of an output failed that is complete by its rows."""
    reasons: dict[str, dict[dt.date, str]] = defaultdict(dict)
    for date in sorted(failed):
        for name, check in checks.get(date, {}).items():
            stored = known.get(date, {}).get(name)
            if stored is not None and stored.failed_rerun and check.verdict is Verdict.COMPLETE:
                reasons[name][date] = stored.reason
    return dict(reasons)


def _judge_all(
    pipeline: Pipeline, snapshot: Snapshot, known: Known, failed: Collection[dt.date]
) -> tuple[Known, Wanted]:
    """The verdicts; and the dates by processor whose check command has no result about the output."""
    queried = {(name, date) for name, dates in snapshot.wanted.items() for date in dates}
    checks: dict[dt.date, dict[str, CheckRow]] = {}
    complete, unchecked = CompleteDates(), defaultdict[str, list[dt.date]](list)
    for date, day in sorted(snapshot.days.items()):
        judged: dict[str, CheckRow] = {}
        for name in pipeline.judging_order:
            if not snapshot.start <= date <= snapshot.end and (name, date) not in queried:
                continue
            processor, stored = pipeline.processors[name], known.get(date, {}).get(name)
            evidence = snapshot.answers.get((name, date), _NOT_QUERIED)
            evidence = complete.compared(processor, date, evidence)
            if stored is not None and name in pipeline.check_commands:
                run = current_run(pipeline, stored, evidence, snapshot.asked_at)
                evidence = replace(evidence, check_run=run)
            of = pipeline.references.get(name)
            judge_context = pipeline.judge_context(
                processor,
                now=snapshot.asked_at,
                last_attempt=stored.last_attempt_on(processor.table) if stored else None,
                previous_attempts=stored.previous_attempts if stored else (),
                reference=stored_reference(judged.get(of), evidence) if of else None,
                runs_checks=False,
            )
            judgement = judge(evidence, processor.expect, day, judge_context)
            if judgement.awaits_check and judgement.verdict is Verdict.COMPLETE and date >= snapshot.start:
                unchecked[name].append(date)
            complete.record(processor, date, judgement, day.counts)
            check = _check(name, date, judgement, snapshot.asked_at, stored)
            # A request for a failed date is an order to try.
            judged[name] = check._replace(mode=RunMode.RETRY, waived_by="") if date in failed else check
        checks[date] = {p.name: _waived(p, judged) for p in pipeline.processors.values() if p.name in judged}
    return checks, unchecked


def _waived(processor: Processor, judged: Checks) -> CheckRow:
    """The check of a processor, satisfied where its date goes on without the output, as it did before."""
    check = judged[processor.name]
    return check._replace(satisfied=True) if is_kept(processor, judged) else check


def _check(
    name: str, date: dt.date, judgement: Judgement, asked_at: float, stored: CheckRow | None
) -> CheckRow:
    """A judgement as `decide` takes it: no attempt yet, with the running attempt and waiver of `stored`."""
    mode = RunMode.WAIVED if stored and stored.waived_by else RunMode.NORMAL
    return CheckRow(
        date=date,
        processor=name,
        output=stored.output if stored else "",
        verdict=judgement.verdict,
        satisfied=judgement.verdict.satisfied or bool(stored and stored.accepted_reason),
        rows=judgement.rows,
        expected=judgement.expected,
        reason=judgement.reason,
        asked_at=asked_at,
        query_due_at=None,
        generation=0,
        attempt_count=0,
        clean_attempts=0,
        retry_at=None,
        runnable=False,
        priority=0,
        mode=RunMode.RETRY if stored and stored.is_to_be_tried else mode,
        attempt_id=stored.attempt_id if stored else None,
        last_attempt_started_at=None,
        last_attempt_ended_at=None,
        last_attempt_succeeded=False,
        last_attempt_detail="",
        waived_by=stored.waived_by if stored else "",
        waiver_reason=stored.waiver_reason if stored else "",
        accepted_by=stored.accepted_by if stored else "",
        accepted_reason=stored.accepted_reason if stored else "",
    )
