"""The check that starts something: one job of each phase, told to do nothing."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, skipped, warned
from backfilld.daemon.preflight.jobs import takes
from backfilld.daemon.preflight.subprocesses import DRY_RUN_SECONDS, CommandResult, job_environment, run
from backfilld.daemon.reports.plan.commands import command
from backfilld.daemon.reports.snapshot import enters
from backfilld.state.pipeline.phase import Phase
from backfilld.state.pipeline.processor import Processor

DRY_RUN = "--dry-run"
PARALLEL = "--parallel"
"""Together with this some jobs take no notice of --dry-run and really write."""


def dry_run(site: PreflightContext) -> Iterator[Finding]:
    """One job of each phase starts and ends well, with --dry-run."""
    if site.quick:
        yield skipped("left out by --quick")
        return
    for phase in site.pipeline.phase:
        chosen = next((p for p in phase.processor if _may_be_tried(site, p)), None)
        if chosen is None:
            yield skipped(f"{phase.name}: none of its jobs is known to take {DRY_RUN} alone")
        else:
            yield _try(site, phase, chosen)


def _may_be_tried(site: PreflightContext, processor: Processor) -> bool:
    script = site.scripts.get(processor.name)
    if script is None or script.tree is None or PARALLEL in script.program.options:
        return False
    return takes(site, processor.name, DRY_RUN) is True


def _try(site: PreflightContext, phase: Phase, processor: Processor) -> Finding:
    day = next((day for day in site.snapshot.in_range() if enters(site.pipeline, phase, day)), None)
    if day is None:
        return skipped(f"{phase.name}: no date of the range goes through it")
    with tempfile.TemporaryDirectory(prefix="backfilld-preflight-") as folder:
        dates_file = Path(folder, "dates.txt")
        dates_file.write_text(f"{day.date}\n", encoding="utf-8")
        call = command(site.pipeline, processor, [day.date], dates_file=dates_file)
        argv = call.argv if DRY_RUN in call.argv else (*call.argv, DRY_RUN)
        env = {**job_environment(processor, call.cwd, argv), **call.env}
        return _told(processor, run(argv, cwd=call.cwd, env=env, seconds=DRY_RUN_SECONDS))


def _told(processor: Processor, ended: CommandResult) -> Finding:
    what = f"{processor.name} {DRY_RUN}"
    if ended.code == 0:
        return passed(f"{what} ended well")
    if ended.code is None:
        return warned(f"{what}: {ended.last_line}", "try it by hand")
    return failed(f"{what} ended with exit code {ended.code}: {ended.last_line}", "try it by hand")
