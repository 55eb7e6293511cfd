"""The reasons that transitions are recorded with."""

from __future__ import annotations

from collections.abc import Mapping

from backfilld.state.formatting import format_counts, pluralize
from backfilld.state.pipeline.phase import Stage
from backfilld.state.records import CheckRow
from backfilld.state.rules.gates import Advance
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


def admission_reason(day: Day) -> str:
    """Why a date is admitted: what the calendar counts, and its day of the season."""
    season = f", day {day.season_day} of {day.season}" if day.season else ""
    return f"{format_counts(day.counts)}{season}" if day.counts else f"expected{season}"


def advance_reason(stage: Stage, decision: Advance, date_checks: Mapping[str, CheckRow]) -> str:
    """Why a gate opened: each processor with its rows, verdict or waiver."""
    reasons = []
    for processor in stage.processors:
        check, waiver = date_checks[processor.name], decision.waivers.get(processor.name)
        if waiver:
            reasons.append(f"{processor.name} {waiver.reason}")
        elif check.rows is not None and check.verdict is not Verdict.NOT_EXPECTED:
            reasons.append(f"{processor.name} {pluralize(check.rows, 'row')}")
        else:
            reasons.append(f"{processor.name} {check.verdict}")
    return ", ".join(reasons)
