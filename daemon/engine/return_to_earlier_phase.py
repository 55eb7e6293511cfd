"""The states that a date has passed, whose outputs a changed pipeline file or calendar may judge otherwise.

A date starts nothing and passes no gate while an output of an earlier state is queried again, or is not
satisfied any more. In the latter case it goes back to `pending`, and so to the state of that output.
"""

from __future__ import annotations

from backfilld.daemon.engine.due_checks import DateChecks
from backfilld.state.pipeline.phase import Stage
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow
from backfilld.state.rules.gates import Wait, WaitReason


def missing_again(pipeline: Pipeline, stage: Stage, date_checks: DateChecks) -> CheckRow | None:
    """The first output of a state before `stage` that is not satisfied; None while all of them are."""
    return next((check for check in _earlier(pipeline, stage, date_checks) if not check.satisfied), None)


def readmission_reason(missing: CheckRow) -> str:
    """Why a date goes back for an output of a state that it has passed."""
    if missing.verdict.satisfied:
        return f"{missing.processor} is computed again: an input of it changed"
    return f"{missing.processor} is {missing.verdict}: {missing.reason}"


def wait(pipeline: Pipeline, stage: Stage, date_checks: DateChecks) -> Wait | None:
    """What a date must wait for before its own state counts; None if nothing.

    Attempts of another state run where the pipeline file has changed; they end first. So do those of `stage`
    while an output of an earlier state is missing.
    """
    here = {p.name for p in stage.processors}
    running = [check.processor for check in date_checks.values() if check.attempt_id is not None]
    queried = any(map(_is_queried_again, _earlier(pipeline, stage, date_checks)))
    if not running and not queried:
        return None
    missing = missing_again(pipeline, stage, date_checks)
    if not here.issuperset(running) or (running and (missing or queried)):
        then = f"goes back for {missing.processor}" if missing else f"goes on in {stage.name}"
        return Wait(waiting=WaitReason.ATTEMPT, text=f"then the date {then}")
    return Wait(waiting=WaitReason.VERDICT) if queried and missing is None else None


def _earlier(pipeline: Pipeline, stage: Stage, date_checks: DateChecks) -> list[CheckRow]:
    """The decisive checks of the states before `stage`, in their order."""
    index_of = {name: pipeline.stage_of[name].index for name in date_checks if name in pipeline.stage_of}
    earlier = [name for name, index in index_of.items() if index < stage.index]
    return [date_checks[name] for name in sorted(earlier, key=index_of.__getitem__)]


def _is_queried_again(check: CheckRow) -> bool:
    """Whether a query may change what was satisfied. No query changes a waiver."""
    return check.query_due_at is not None and not (check.waived_by or check.accepted_reason)
