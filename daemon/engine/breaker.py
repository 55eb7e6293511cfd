"""The same error again and again pauses the processor, and says so, instead of failing date after date."""

from __future__ import annotations

import re
from collections.abc import Iterable

from daemon.core import Core
from daemon.engine import holding
from daemon.events import Trouble
from state.records import CheckRow
from state.store import streaks
from state.store.checks import Judged
from state.store.database import Transaction
from state.verdict import Verdict

_FIGURES = re.compile(r"\d+")


def count(tx: Transaction, core: Core, judged: Iterable[tuple[CheckRow, Judged]]) -> list[Trouble]:
    """Count the first verdict after each attempt; place a hold where the same error fills the limit."""
    limit = core.pipeline.jobs.breaker
    troubles = []
    for check, answer in judged:
        if not limit or not check.follows_attempt or check.processor not in core.pipeline.processors:
            continue
        if answer.judgement.verdict.satisfied:
            streaks.reset(tx, check.processor)
        elif answer.judgement.verdict not in (Verdict.UNKNOWN, Verdict.RUNNING):
            troubles += _another(tx, core, check, answer, limit)
    return troubles


def _another(tx: Transaction, core: Core, check: CheckRow, answer: Judged, limit: int) -> list[Trouble]:
    error = f"{answer.judgement.verdict}: {answer.judgement.reason}"
    length = streaks.extend(tx, check.processor, _signature(error))
    if length < limit:
        return []
    reason = f"{check.processor} is paused: the same error {length} times in a row: {error}"
    if not holding.hold(tx, core, "processor", check.processor, reason=reason):
        return []
    streaks.reset(tx, check.processor)
    return [Trouble(kind="breaker", text=reason)]


def _signature(error: str) -> str:
    """The error without its figures: dates, counts and ids differ between dates, the fault does not."""
    return _FIGURES.sub("#", error)[:300]
