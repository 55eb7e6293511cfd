"""How a date is done: complete, bootstrap, waived, selected or not expected."""

from __future__ import annotations

from collections.abc import Mapping

from backfilld.daemon.engine.advance_batch import AdvanceBatch, DateWalk
from backfilld.daemon.engine.partly_selected_dates import unselected_reasons
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.gates import WaivedBy
from backfilld.state.rules.state_machine import Trigger
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store import checks


def done_outcome(pipeline: Pipeline, batch: AdvanceBatch, walk: DateWalk) -> tuple[Outcome, str]:
    """The outcome of a date that has passed its last gate, and the reason."""
    day = batch.days[walk.row.date]
    if not day.expected:  # since its admission: by a changed pipeline file, or a changed calendar
        return Outcome.NOT_EXPECTED, day.reason
    date_checks = checks.for_dates(batch.tx, [walk.row.date])[walk.row.date]
    waivers = [check for check in date_checks.values() if check.waived_by]
    reasons = "; ".join(f"{c.processor}: {c.waiver_reason}" for c in waivers)
    missing = unselected_reasons(pipeline, date_checks)
    if missing := missing or _unselected_behind(pipeline, batch, walk, date_checks):
        return Outcome.SELECTED, "; ".join(filter(None, [missing, reasons]))
    if any(c.waived_by != WaivedBy.FALLBACK for c in waivers):
        return Outcome.WAIVED, reasons
    if walk.transitions[-1].trigger is Trigger.BYPASS:
        bootstrap = f"day {day.season_day} of {day.season} is a bootstrap day"
        return Outcome.BOOTSTRAP, "; ".join(filter(None, [bootstrap, reasons]))
    if date_checks and all(c.verdict is Verdict.NOT_EXPECTED for c in date_checks.values()):
        return Outcome.COMPLETE, "; ".join(filter(None, ["no processor has output on this date", reasons]))
    return Outcome.COMPLETE, reasons


def _unselected_behind(
    pipeline: Pipeline, batch: AdvanceBatch, walk: DateWalk, date_checks: Mapping[str, CheckRow]
) -> str:
    """Which unselected outputs are there although earlier dates that they need are missing; empty if none."""
    selected = batch.owners[walk.row.date].selected
    if selected is None:
        return ""
    others = [p for p in pipeline.processors.values() if p.name not in selected and p.name in date_checks]
    missing = batch.upstream.missing_texts(others, batch.days[walk.row.date], date_checks)
    named = ", ".join(f"{name} needs {text}" for name, text in missing.items())
    return f"not selected: {named}" if named else ""
