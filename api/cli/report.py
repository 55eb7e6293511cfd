"""`backfilld validate`: what exists for a range of dates and why the rest does not. Needs no daemon."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import click

from api.cli.output import console, json_option, print_json, table
from api.cli.steer import DATE
from daemon.report import PhaseReport, ProcessorReport, Validation, validation
from daemon.warehouse import WarehouseError
from daemon.warehouse.factory import open_warehouse
from state.pipeline_file import load


@click.command()
@click.argument("start", type=DATE)
@click.argument("end", type=DATE, required=False)
@click.option("--pipeline", "path", help="The pipeline file; else BACKFILLD_PIPELINE.")
@click.option("--dates", "per_date", is_flag=True, help="Also tell each date that is not complete.")
@json_option
def validate(start: str, end: str | None, path: str | None, per_date: bool, as_json: bool) -> None:
    """Say what START to END have, per phase and processor, by the engine's own gates."""
    chosen = path or os.environ.get("BACKFILLD_PIPELINE")
    if not chosen:
        raise click.UsageError("give --pipeline FILE or set BACKFILLD_PIPELINE")
    first, last = dt.date.fromisoformat(start), dt.date.fromisoformat(end or start)
    if last < first:
        raise click.BadParameter(f"{last} is before START {first}", param_hint="END")
    pipeline = load(Path(chosen))
    warehouse = open_warehouse(pipeline, on_query=lambda purpose, billed: None, on_error=lambda: None)
    try:
        report = validation(pipeline, warehouse, first, last, now=time.time())
    except WarehouseError as error:
        raise click.ClickException(f"the warehouse could not be asked: {error}") from error
    finally:
        warehouse.close()
    if as_json:
        print_json(report.to_json())
    else:
        _show(report, per_date=per_date)
    raise click.exceptions.Exit(0 if report.ready else 1)


def _show(report: Validation, *, per_date: bool) -> None:
    counts = f"{report.expected_dates} expected of {report.dates}, {report.bootstrap_dates} bootstrap"
    console.print(f"{report.start}..{report.end}: {counts}")
    for phase in report.phases:
        table(
            _title(phase),
            ["", "processor", "dates", "percent", "priority", "why"],
            [_row(p) for p in phase.processors],
        )
        for hole in phase.holes:
            console.print(f"  cannot start: {hole}")
        if per_date:
            _show_dates(phase)
    console.print(report.summary)
    console.print(f"next: {report.next_action}")


def _title(phase: PhaseReport) -> str:
    state = "ready" if phase.ready else f"{phase.ready_dates} of {phase.expected_dates} dates ready"
    return f"{phase.phase} ({phase.order}): {state}"


def _row(processor: ProcessorReport) -> list[str]:
    percent = "" if processor.percent is None else f"{processor.percent:.1f} %"
    lacking = ", ".join(
        f"{n} {verdict}" for verdict, n in processor.verdicts.items() if n and verdict != "complete"
    )
    dates = f"{processor.complete}/{processor.expected}"
    why = lacking or processor.note
    return [processor.symbol, processor.processor, dates, percent, processor.priority, why]


def _show_dates(phase: PhaseReport) -> None:
    rows = [
        [str(date), one.processor, str(verdict.verdict), verdict.reason]
        for one in phase.processors
        for date, verdict in one.dates.items()
        if not verdict.verdict.satisfied
    ]
    if rows:
        table("", ["date", "processor", "verdict", "why"], sorted(rows))


VERBS = (validate,)
