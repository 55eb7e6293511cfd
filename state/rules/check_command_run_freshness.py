"""Whether the latest run of a check command still says something about the output. Pure."""

from __future__ import annotations

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow
from backfilld.state.rules.check_command_run import CheckRun
from backfilld.state.rules.evidence import Evidence

_AGE = 0.9
"""Of `revalidate_within`: an older result counts no more, so that each sweep of a date runs its check."""


def current_run(
    pipeline: Pipeline, check: CheckRow, evidence: Evidence, now: float, *, any_age: bool = False
) -> CheckRun | None:
    """The latest run of a check command if it is about the output as it is, and recent enough.

    With `any_age` a result is recent enough whenever it came. A run without a result never counts long.
    """
    run, within = check.check_run, pipeline.engine.revalidate_within
    if run is None or run.subject != subject_of(pipeline, check, evidence):
        return None
    if run.ended_at is None:
        return run
    limit = pipeline.engine.recheck_interval if run.failure else _AGE * within
    is_old = not run.ended_at <= now < run.ended_at + limit
    return None if is_old and (run.failure or (within and not any_age)) else run


def subject_of(pipeline: Pipeline, check: CheckRow, evidence: Evidence) -> str:
    """A hash of the check command, and of the output that it is about."""
    processor, command = pipeline.processors[check.processor], pipeline.check_commands[check.processor]
    surroundings = processor.table, processor.cwd, sorted(processor.env.items())
    return command.subject(evidence, surroundings=surroundings, written_at=check.last_attempt_ended_at)
