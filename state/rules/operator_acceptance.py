"""Acceptance: which missing or wrong outputs an operator can let pass. Pure."""

from __future__ import annotations

from backfilld.state.pipeline.phase import DONE, FAILED, PENDING
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow

SATISFIED = "satisfied"
"""The refusal of an output that lacks nothing."""
WAIVED = "let pass already"
"""The refusal of an output that its date goes without."""


def refusal(
    pipeline: Pipeline, check: CheckRow | None, state: str | None, failed_in: str | None, *, named: bool
) -> str:
    """Why the output behind a check cannot be accepted: what it is, such as `satisfied`; empty where it can.

    `state` is the state of its date, None where the date was never enqueued; `failed_in` is the state in
    which a failed date failed. An operator who names a processor may also accept its output in advance:
    before it is checked, before its turn, and while its job runs.
    """
    if check is not None and check.satisfied and check.verdict.satisfied:
        return SATISFIED
    if named:
        return ""
    if check is None or check.asked_at is None:
        return "not checked yet"
    if check.satisfied:
        return WAIVED
    if check.attempt_id is not None:
        return "running"
    return _before_its_turn(pipeline, check, state, failed_in)


def _before_its_turn(pipeline: Pipeline, check: CheckRow, state: str | None, failed_in: str | None) -> str:
    """Why the output is not known to be lost yet; empty where the date has come to it, and tried it."""
    stage = pipeline.stage_of.get(check.processor)
    if stage is None:
        return "no longer in the pipeline"
    if state in (None, DONE):
        return ""
    reached = pipeline.stage.get((failed_in if state == FAILED else state) or "")
    if state == PENDING or (reached is not None and stage.index > reached.index):
        return "not due yet"
    return "" if state == FAILED or check.attempt_count else "not tried yet"
