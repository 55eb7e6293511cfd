"""The check of the data so far: how complete each phase is, and whether every table can be judged."""

from __future__ import annotations

from collections.abc import Iterator

from backfilld.daemon.preflight.context import PreflightContext
from backfilld.daemon.preflight.findings import Finding, failed, passed, warned
from backfilld.daemon.reports.data_completeness import PhaseReport, report
from backfilld.state.formatting import join_truncated, pluralize

LEAST_FIRST_PHASE = 99.0
"""Percent of the first phase below which its jobs must run, or `--sources` must leave them out."""


def data(context: PreflightContext) -> Iterator[Finding]:
    """How complete each phase is, and whether every table can be judged."""
    phases = report(context.pipeline, context.snapshot).phases
    for place, phase in enumerate(phases):
        yield from _unknown(phase)
        if place == 0 and phase.percent is not None and phase.percent < LEAST_FIRST_PHASE:
            yield warned(_share(phase), "its jobs will run; --sources critical or none leaves them out")
        else:
            yield passed(_share(phase))
        if phase.missing_upstream:
            named = join_truncated([str(missing) for missing in phase.missing_upstream], between="; ")
            yield warned(f"{phase.phase} depends on earlier dates: {named}", "begin earlier, or accept them")


def _unknown(phase: PhaseReport) -> Iterator[Finding]:
    for processor in phase.processors:
        reasons = [cell.reason for cell in processor.dates.values() if cell.verdict == "unknown"]
        if reasons:
            line = (
                f"{processor.processor} cannot be judged on {pluralize(len(reasons), 'date')}: {reasons[0]}"
            )
            yield failed(line, "repair what it names: what cannot be judged never runs and never passes")


def _share(phase: PhaseReport) -> str:
    share = "nothing expected" if phase.percent is None else f"{phase.percent} % complete"
    return f"{phase.phase}: {phase.ready_dates} of {pluralize(phase.expected_dates, 'date')} ready, {share}"
