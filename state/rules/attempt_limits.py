"""How many attempts a processor has for a date, and when its last one counts as confirmed. Pure."""

from __future__ import annotations

from backfilld.state.pipeline.job_settings import NoData
from backfilld.state.pipeline.processor import Processor
from backfilld.state.records import CheckRow, RunMode
from backfilld.state.rules.verdict import Verdict


def attempts_of(processor: Processor, check: CheckRow) -> tuple[int, int]:
    """The attempts of this request that count towards the limit of its verdict, and that limit.

    For want of data only those count that exited with 0: a run of the history, or an attempt of an earlier
    request, explains the verdict and proves nothing, unless the pipeline file says `no_data = "trust"`.
    """
    if check.verdict is not Verdict.NO_DATA:
        return check.attempt_count, 1 if check.verdict is Verdict.EXCESS else processor.max_attempts
    if processor.no_data is NoData.TRUST:
        return check.clean_attempts, 0 if check.mode in (RunMode.NORMAL, RunMode.WAIVED) else 1
    return check.clean_attempts, min(processor.no_data_attempts, processor.max_attempts)


def confirmation_due(processor: Processor, check: CheckRow) -> float | None:
    """When to query what the last attempt left before the date may fail; None once that is done.

    Epoch seconds. Rows and runs of the history may show only after a job that exited with 0 has ended.
    """
    if not check.clean_attempts or not check.last_attempt_succeeded or check.last_attempt_ended_at is None:
        return None
    due_at = check.last_attempt_ended_at + processor.confirm_after
    return None if check.asked_at is not None and check.asked_at >= due_at else due_at


def after_attempt(processor: Processor, check: CheckRow) -> str:
    """What is wrong with an output after the latest attempt: `box: no rows after attempt 1 of 2`."""
    attempts, limit = attempts_of(processor, check)
    lacks = "no rows" if check.verdict is Verdict.NO_DATA else figures(check)
    return f"{processor.name}: {lacks} after attempt {attempts} of {max(attempts, limit)}"


def figures(check: CheckRow) -> str:
    """A verdict with the sentence that it rests on."""
    return f"{check.verdict}: {check.reason}" if check.reason else str(check.verdict)
