"""The check that runs jobs: one of each phase, with --dry-run."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, skipped, warned
from backfilld.daemon.preflight.subprocesses import DRY_RUN_SECONDS, CommandResult, job_environment, run
from backfilld.daemon.reports.current_verdicts import enters
from backfilld.daemon.reports.plan.shell_commands import command
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.processor import Processor

DRY_RUN = "--dry-run"
PARALLEL = "--parallel"
"""With this option some jobs ignore --dry-run and write."""


def dry_run(context: PreflightContext) -> Iterator[Finding]:
    """One job of each phase succeeds with --dry-run."""
    if context.quick:
        yield skipped("left out by --quick")
        return
    for phase in context.pipeline.phase:
        chosen = next((p for p in phase.processor if _can_dry_run(context, p)), None)
        if chosen is None:
            yield skipped(f"{phase.name}: none of its jobs is known to take {DRY_RUN} alone")
        else:
            yield _try(context, phase, chosen)


def _can_dry_run(context: PreflightContext, processor: Processor) -> bool:
    script = context.scripts.by_processor.get(processor.name)
    if script is None or PARALLEL in script.program.options:
        return False
    return DRY_RUN in (context.scripts.options(processor.name) or ())


def _try(context: PreflightContext, phase: Phase, processor: Processor) -> Finding:
    day = next((day for day in context.snapshot.in_range() if enters(context.pipeline, phase, day)), None)
    if day is None:
        return skipped(f"{phase.name}: no date of the range goes through it")
    with tempfile.TemporaryDirectory(prefix="backfilld-preflight-") as folder:
        dates_file = Path(folder, "dates.txt")
        dates_file.write_text(f"{day.date}\n", encoding="utf-8")
        call = command(context.pipeline, processor, [day.date], dates_file=dates_file)
        argv = call.argv if DRY_RUN in call.argv else (*call.argv, DRY_RUN)
        env = {**job_environment(processor, call.cwd, argv), **call.env}
        return _finding(processor, run(argv, cwd=call.cwd, env=env, seconds=DRY_RUN_SECONDS))


def _finding(processor: Processor, result: CommandResult) -> Finding:
    what = f"{processor.name} {DRY_RUN}"
    if result.code == 0:
        return passed(f"{what} exited with 0")
    if result.code is None:
        return warned(f"{what}: {result.last_line}", "run the command by hand")
    return failed(f"{what} exited with {result.code}: {result.last_line}", "run the command by hand")
