"""Releases the checks of ended attempts: when to query their outputs, and when the next attempt may start."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backfilld.daemon.engine.context import EngineContext
from backfilld.state.formatting import shown_line
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import AttemptRow, AttemptStatus, CheckRow, Runnable
from backfilld.state.rules.compared_processors import compared_with
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.store import attempts, checks, reset_checks
from backfilld.state.store.attempts import AttemptEnd
from backfilld.state.store.checks import AttemptResult
from backfilld.state.store.database import Transaction

_REFUSAL = re.compile(
    r"Read-only file system|Permission denied|Operation not permitted"
    r"|cannot start: No such file or directory: /(?:home|root|run/user)/"
)
"""Messages of EROFS, EACCES and EPERM, with which a sandbox refuses, and of a directory that it hides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClosedAttempt:
    """An attempt that was just closed, with the dates it covered."""

    row: AttemptRow
    end: AttemptEnd
    dates: Sequence[dt.date]
    began: bool
    """Whether its job may have begun and written something."""
    counts: bool
    """Whether it counts towards `max_attempts`. It does not if the job is not to blame for its end."""
    counts_for_breaker: bool
    """Whether the circuit breaker counts it: not if an operator, the daemon or a lost host ended it."""


def read_processors(pipeline: Pipeline, closed: Collection[ClosedAttempt]) -> set[str]:
    """The processors whose checks `release` reads where attempts of others ended, and these themselves.

    They are those of the same state and of the next one, those of the same table, and those that are compared
    with an output.
    """
    ended = {attempt.row.processor for attempt in closed}
    found = {*ended, *(name for of in ended for name in compared_with(pipeline, of))}
    found.update(name for attempt in closed for name in pipeline.writers_of.get(attempt.row.output, ()))
    for first in {pipeline.stage_of[name].index for name in ended & pipeline.stage_of.keys()}:
        found |= {p.name for stage in pipeline.stages[first : first + 2] for p in stage.processors}
    return found


def release(
    tx: Transaction,
    context: EngineContext,
    closed: Sequence[ClosedAttempt],
    checks_by_date: Mapping[dt.date, Mapping[str, CheckRow]],
) -> None:
    """Let the checks of closed attempts be queried, and run again once their backoff is over."""
    closed_ids = {attempt.row.id for attempt in closed}
    feeds_batch = any(attempt.row.processor in context.pipeline.feeding_batches for attempt in closed)
    others = attempts.running(tx) if feeds_batch else []
    running = {row.processor for row in others if row.id not in closed_ids}
    results: list[AttemptResult] = []
    related: dict[Pair, float] = {}
    still_running: set[dt.date] = set()
    for attempt in closed:
        # One factor for all its dates, so that they stay one batch.
        jitter = context.rng.uniform(0.75, 1.25)
        for date in attempt.dates:
            date_checks = checks_by_date[date]
            due_at = _query_due_at(context.pipeline, attempt, closed_ids, date_checks, running)
            results.append(_result(context, attempt, date_checks[attempt.row.processor], due_at, jitter))
            related |= {
                # What may start otherwise is queried at once.
                (date, check.processor): attempt.end.ended_at if check.runnable else due_at
                for check in _related(context.pipeline, attempt.row, date_checks)
            }
            attempt_ids = {check.attempt_id for check in date_checks.values()}
            if not attempt_ids <= {None, *closed_ids}:
                still_running.add(date)  # it goes on waiting for an attempt
    checks.release(tx, results, related, still_running)
    writers_of = context.pipeline.writers_of
    written = [
        (date, name)
        for attempt in closed
        if len(names := writers_of.get(attempt.row.output, ())) > 1
        for date in attempt.dates
        for name in names
    ]
    reset_checks.forget_stamps(tx, written)


def _query_due_at(
    pipeline: Pipeline,
    attempt: ClosedAttempt,
    closed_ids: Collection[int],
    date_checks: Mapping[str, CheckRow],
    running: Collection[str],
) -> float:
    """When to query the output: at once if the gate may open or its state waits for it, else with other ones.

    It also waits up to `batch_window` where a batch follows and one of `running`, the processors with other
    attempts, is of the stage: so their dates become ready together.
    """
    processor = attempt.row.processor
    due_at = attempt.end.ended_at
    stage = pipeline.stage_of.get(processor)
    if stage is None or not attempt.end.ended_well:
        return due_at
    if processor in pipeline.feeding_batches and any(p.name in running for p in stage.processors):
        return due_at + pipeline.engine.batch_window
    siblings = (c for p in stage.processors if p.name != processor and (c := date_checks.get(p.name)))
    # The gate stays closed while another processor of the stage is running or about to start.
    gate_stays_closed = any(
        c.runnable == Runnable.NOW or (c.attempt_id is not None and c.attempt_id not in closed_ids)
        for c in siblings
    )
    awaited = pipeline.followers[processor] or any(
        pipeline.stage_of[name] is stage for name in pipeline.needs.needed_later_by(processor)
    )
    waits = gate_stays_closed and not awaited
    return due_at + pipeline.engine.batch_window if waits else due_at


def _result(
    context: EngineContext, attempt: ClosedAttempt, check: CheckRow, query_due_at: float, jitter: float
) -> AttemptResult:
    row, end = attempt.row, attempt.end
    pair = (check.date, check.processor)
    values: dict[str, object] = {}
    replaced = _writes_replaced_table(context.pipeline, row)
    # None is counted where another request has taken the date over: this one was made for a cancelled one.
    counts = attempt.counts and check.attempt_count > 0 and not replaced
    if counts:
        values["retry_at"] = end.ended_at + _backoff_seconds(
            context, row.processor, check.attempt_count, jitter
        )
    else:
        values["attempt_count"] = max(check.attempt_count - 1, 0)
    if counts and end.ended_well:
        values["clean_attempts"] = check.clean_attempts + 1
    if not attempt.began:
        values["write_stamp"] = check.stamp_before  # it has written nothing: who writes meanwhile is another
    elif not replaced:
        values |= {
            "last_attempt_started_at": row.started_at,
            "last_attempt_ended_at": end.ended_at,
            "last_attempt_succeeded": int(end.ended_well),
            "last_attempt_detail": _detail(context, end, row.processor),
            "last_attempt_counts": int(attempt.counts_for_breaker),
        }
    return AttemptResult(pair=pair, attempt=row.id, query_due_at=query_due_at, values=values)


def _writes_replaced_table(pipeline: Pipeline, row: AttemptRow) -> bool:
    """Whether the pipeline file names another table since the attempt started: then it proves nothing."""
    processor = pipeline.processors.get(row.processor)
    return processor is not None and processor.table != row.output


def _backoff_seconds(context: EngineContext, processor: str, attempt_count: int, jitter: float) -> float:
    """Doubled with each attempt, with jitter of 25 % so that the retries of many dates spread out."""
    base = context.pipeline.job_settings(processor).backoff
    return float(base * 2 ** (max(attempt_count, 1) - 1)) * jitter


def _detail(context: EngineContext, end: AttemptEnd, processor: str) -> str:
    """How the attempt ended, as verdict reasons show it: `exit 1: last line of its log`.

    It says too what the job left running and was ended. `service` of the context is the systemd service, if
    any, whose sandbox may have refused what the job wanted to write.
    """
    status = str(end.status) if end.status is not AttemptStatus.EXITED else ""
    code = f"exit {end.exit_code}" if end.exit_code is not None else end.detail.removeprefix(f"{status}: ")
    pattern = context.pipeline.job_settings(processor).error_pattern
    line = shown_line(end.tail, pattern, failed=not end.ended_well)
    detail = ": ".join(word for word in (status, code, line) if word)
    if end.exit_code is not None and end.detail:
        detail = f"{detail}; {end.detail}"
    service = context.service
    if service and not end.ended_well and _REFUSAL.search(f"{end.detail}\n{end.tail}"):
        return f"{detail}; if the sandbox of {service} refuses that, open it with deploy/systemd/jobs.conf"
    return detail


def _related(pipeline: Pipeline, row: AttemptRow, date_checks: Mapping[str, CheckRow]) -> list[CheckRow]:
    """What is queried with the output: whatever the same table holds, as evidence from before counts no more.

    The same query also answers for outputs compared with this one, and for those of the next state.
    """
    names = {
        *pipeline.writers_of.get(row.output, ()),
        *compared_with(pipeline, row.processor),
        *_next_state(pipeline, row.processor, date_checks),
    } - {row.processor}
    known = [date_checks[name] for name in sorted(names) if name in date_checks]
    return [check for check in known if check.attempt_id is None]


def _next_state(pipeline: Pipeline, processor: str, date_checks: Mapping[str, CheckRow]) -> Iterator[str]:
    """Unsatisfied processors of the next state, if `processor` may open the gate: validation on entry."""
    stage = pipeline.stage_of.get(processor)
    following = pipeline.stages[stage.index + 1 :] if stage else ()
    if stage is None or not following:
        return
    satisfied = {name for name, check in date_checks.items() if check.satisfied}
    if satisfied.issuperset(p.name for p in stage.processors if p.name != processor):
        yield from (p.name for p in following[0].processors if p.name not in satisfied)
