"""Preflight: is everything ready to start? Every check gives pass, warn or fail with a line and a hint."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from backfilld.daemon.adapters import load_pipeline, warehouse_adapter
from backfilld.daemon.preflight import (
    calendar_and_run_history,
    dry_run_jobs,
    executors,
    jobs,
    phase_completeness,
    storage,
    tables,
)
from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import (
    Finding,
    FindingStatus,
    Preflight,
    Result,
    exit_code,
    failed,
    passed,
    result_of,
    skipped,
    warned,
)
from backfilld.daemon.preflight.open_file_and_process_limits import slot_warnings
from backfilld.daemon.preflight.service_sandbox import sandbox
from backfilld.daemon.preflight.user_defined_checks import platform_check
from backfilld.daemon.read_service_unit import ServiceUnit
from backfilld.daemon.settings import SettingsError, state_database
from backfilld.daemon.warehouses.adapter import Catalog, Warehouse, WarehouseError
from backfilld.daemon.warehouses.open_warehouse import open_warehouse
from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.loading import PipelineError
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.semantic_validation import warnings

__all__ = ["GROUPS", "Check", "Finding", "FindingStatus", "Preflight", "Result", "exit_code", "preflight"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. It is skipped where a check that it needs has failed."""

    name: str
    title: str
    run: Callable[[PreflightContext], Iterable[Finding]]
    needs: tuple[str, ...] = ()


GROUPS: Mapping[str, Sequence[Check]] = {
    "daemon": (
        Check(name="state", title="state database", run=storage.state_database),
        Check(name="disk", title="room for logs", run=storage.room_for_logs),
    ),
    "jobs": (
        Check(name="programs", title="programs and scripts", run=jobs.programs),
        Check(name="compiling", title="compiling", run=jobs.compiling),
        Check(name="options", title="script options", run=jobs.options),
        Check(name="dates", title="dates of jobs", run=jobs.dates),
        Check(name="requires", title="required settings", run=jobs.requires),
        Check(name="executors", title="executors", run=executors.executors),
    ),
    "warehouse": (
        Check(name="warehouse", title="credentials and project", run=tables.warehouse),
        Check(name="tables", title="tables", run=tables.tables, needs=("warehouse",)),
        Check(name="columns", title="columns", run=tables.columns, needs=("warehouse",)),
    ),
    "data": (
        Check(name="calendar", title="calendar", run=calendar_and_run_history.calendar, needs=("warehouse",)),
        Check(
            name="history", title="run history", run=calendar_and_run_history.history, needs=("warehouse",)
        ),
        Check(name="data", title="data so far", run=phase_completeness.data, needs=("warehouse", "calendar")),
        Check(
            name="others",
            title="others at work",
            run=calendar_and_run_history.foreign_runs,
            needs=("warehouse", "calendar"),
        ),
    ),
    "trial": (
        Check(name="dry-run", title="dry runs", run=dry_run_jobs.dry_run, needs=("programs", "calendar")),
    ),
}
"""All checks in the order in which they run, by group."""


def preflight(
    path: Path,
    *,
    now: float,
    start: dt.date | None = None,
    end: dt.date | None = None,
    state_dir: Path | None = None,
    quick: bool = False,
    opened: tuple[Warehouse, Catalog] | None = None,
    on_check: Callable[[str], None] = lambda title: None,
) -> Preflight:
    """Run all checks of the pipeline file at `path` for the dates from `start` to `end`, both included.

    The default range is all seasons of the file up to yesterday. `state_dir` is the daemon's state directory.
    Warehouse and catalog are those of the file, unless `opened` has others. `on_check` is called with the
    title of each check before it runs.

    Raises:
        ValueError: `start` is after `end`.
    """
    if start and end and start > end:
        raise ValueError(f"start {start} is after end {end}")
    try:
        pipeline = load_pipeline(path)
    except PipelineError as error:
        remedy = (
            "correct the pipeline file"
            if os.path.isfile(path)
            else "correct --pipeline or BACKFILLD_PIPELINE"
        )
        broken = [failed(problem, remedy, where=str(path)) for problem in error.problems]
        return _summarize([_configuration(broken)])
    try:
        database = state_database(str(state_dir)) if state_dir else None
    except SettingsError as error:
        wrong = failed(str(error), "correct BACKFILLD_DATABASE")
        return _summarize([_configuration([*_loaded(pipeline), wrong])])
    first, last = _range(pipeline, now)
    with nullcontext(opened) if opened else _open(pipeline) as (warehouse, catalog):
        context = PreflightContext(
            pipeline=pipeline,
            warehouse=warehouse,
            catalog=catalog,
            start=start or min(first, end or first),
            end=end or max(last, start or last),
            state_dir=state_dir,
            database_url=database,
            now=now,
            quick=quick,
        )
        return _summarize([_configuration(list(_loaded(pipeline))), *_results(context, on_check)])


def with_sandbox(results: Preflight, path: Path, unit: ServiceUnit) -> Preflight:
    """The results of the pipeline file at `path` with a further check: what the service lets jobs do."""
    try:
        findings = list(sandbox(load_pipeline(path), unit))
    except PipelineError:  # the first of the results says so
        return results
    return _summarize([*results.results, result_of("jobs", "sandbox", "service sandbox", findings)])


@contextmanager
def _open(pipeline: Pipeline) -> Iterator[tuple[Warehouse, Catalog]]:
    warehouse = open_warehouse(pipeline)
    try:
        yield warehouse, warehouse.catalog
    finally:
        warehouse.close()


def _results(context: PreflightContext, on_check: Callable[[str], None]) -> Iterator[Result]:
    failed_checks: set[str] = set()
    for group, checks in {**GROUPS, "platform": tuple(_of_the_platform(context))}.items():
        for check in (*checks, *(_of_this_kind(context) if group == "warehouse" else ())):
            on_check(check.title)
            unmet = [need for need in check.needs if need in failed_checks]
            findings = [skipped(f"needs {', '.join(unmet)}")] if unmet else list(_run_check(check, context))
            result = result_of(group, check.name, check.title, findings)
            if result.status is FindingStatus.FAIL:
                failed_checks.add(check.name)
            yield result


def _of_this_kind(context: PreflightContext) -> Iterator[Check]:
    """The checks that only the pipeline's kind of warehouse has."""
    for check in context.catalog.preflight_checks():
        yield Check(name=check.name, title=check.title, run=check.run, needs=("warehouse",))


def _of_the_platform(context: PreflightContext) -> Iterator[Check]:
    """The checks that the pipeline file states."""
    for check in context.pipeline.preflight.check:
        yield Check(name=check.name, title=check.name, run=partial(platform_check, check=check))


def _run_check(check: Check, context: PreflightContext) -> Iterator[Finding]:
    try:
        yield from check.run(context)
    except WarehouseError as error:
        yield failed(str(error), error.hint or warehouse_adapter(context.pipeline.warehouse.kind).remedy)


def _configuration(findings: Sequence[Finding]) -> Result:
    return result_of("pipeline", "configuration", "pipeline file", findings)


def _loaded(pipeline: Pipeline) -> Iterator[Finding]:
    """What the file has, and its rules that accept more than they seem to."""
    for warning in (*warnings(pipeline), *slot_warnings(pipeline)):
        line, _, remedy = warning.rpartition("; ")
        yield warned(line, remedy, where=str(pipeline.path))
    size = f"{pluralize(len(pipeline.phase), 'phase')}, {pluralize(len(pipeline.processors), 'processor')}"
    yield passed(f"{pipeline.path.name}: {size}")


def _summarize(results: Sequence[Result]) -> Preflight:
    code = exit_code(results)
    counts = {status: sum(1 for r in results if r.status is status) for status in FindingStatus}
    verdict = {0: "ready", 1: "not ready", 2: "ready, with warnings"}[code]
    counted = ", ".join(f"{n} {status.value}" for status, n in counts.items() if n)
    return Preflight(results=results, exit_code=code, summary=f"{verdict}: {counted}")


def _range(pipeline: Pipeline, now: float) -> tuple[dt.date, dt.date]:
    """All seasons so far; without seasons the week that ended yesterday."""
    today = dt.datetime.fromtimestamp(now, ZoneInfo(pipeline.timezone)).date()
    yesterday = today - dt.timedelta(days=1)
    seasons = pipeline.calendar.season
    if not seasons:
        return yesterday - dt.timedelta(days=6), yesterday
    opens, closes = min(s.opens for s in seasons), max(s.closes for s in seasons)
    return opens, max(opens, min(closes, yesterday))
