"""Daily budgets: attempts per output table, and bytes that the warehouse bills.

A quota day ends at midnight in the pipeline's `quota_timezone`: Pacific time by default, as BigQuery's quotas
do. The state database keeps what was used, attempts in the transaction of their claim, so a restart does not
reset a budget. Attempts count whether or not they fail, as BigQuery counts load jobs.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from backfilld.daemon.engine import processor_and_table_holds
from backfilld.daemon.engine.context import EngineContext
from backfilld.daemon.event_types import Incident
from backfilld.state.formatting import format_utc, last_line, pluralize
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import AttemptRow, AttemptStatus
from backfilld.state.rules.quota_day import next_midnight, quota_day
from backfilld.state.store import daily_budgets
from backfilld.state.store.attempts import AttemptEnd
from backfilld.state.store.daily_budgets import Used
from backfilld.state.store.database import Database, Transaction

TABLE, WAREHOUSE = "table", "warehouse"
"""Kinds of budgets: attempts of an output table, and bytes of the whole warehouse, whose key is empty."""
EXTRA_SHARE = 10
"""Releasing a used-up budget allows a tenth of its limit more, unless another figure is requested."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One budget on one quota day: attempts of a table, or bytes billed by the warehouse."""

    kind: str
    key: str
    limit: int
    spent: int
    extra: int
    """What operators have allowed beyond the limit today."""
    resets_at: float

    @property
    def left(self) -> int:
        """What may still be used today. Negative if the last query cost more than was left."""
        return self.limit + self.extra - self.spent

    @property
    def spent_reason(self) -> str:
        """Why a table that has used up its attempts is held."""
        attempts = pluralize(self.limit + self.extra, "attempt")
        return f"{self.key} has had its {attempts} of this quota day (daily_attempts)"


def current_budgets(tx: Transaction, pipeline: Pipeline, now: float) -> list[Budget]:
    """Every budget of the pipeline file, with today's use."""
    limits = list(_limits(pipeline))
    if not limits:
        return []
    used = daily_budgets.used(tx, quota_day(now, pipeline.quota_timezone))
    resets_at = next_midnight(now, pipeline.quota_timezone)
    return [_budget(key, limit, used.get(key, Used()), resets_at) for key, limit in limits]


def _limits(pipeline: Pipeline) -> Iterator[tuple[tuple[str, str], int]]:
    """Limits by kind and key. Of several processors that write one table, the lowest limit counts."""
    tables: dict[str, int] = {}
    for processor in pipeline.processors.values():
        if processor.daily_attempts is not None:
            least = tables.get(processor.table, processor.daily_attempts)
            tables[processor.table] = min(least, processor.daily_attempts)
    yield from (((TABLE, table), limit) for table, limit in tables.items())
    if pipeline.warehouse.daily_bytes is not None:
        yield (WAREHOUSE, ""), pipeline.warehouse.daily_bytes


def _budget(kind_and_key: tuple[str, str], limit: int, used: Used, resets_at: float) -> Budget:
    kind, key = kind_and_key
    return Budget(kind=kind, key=key, limit=limit, spent=used.spent, extra=used.extra, resets_at=resets_at)


def get_budget(tx: Transaction, context: EngineContext, kind: str, key: str) -> Budget | None:
    """One budget; None if the pipeline file sets none."""
    return next(
        (b for b in current_budgets(tx, context.pipeline, context.now()) if (b.kind, b.key) == (kind, key)),
        None,
    )


def table_budgets(tx: Transaction, context: EngineContext) -> Mapping[str, Budget]:
    """The budgets of attempts by output table."""
    all_budgets = current_budgets(tx, context.pipeline, context.now())
    return {budget.key: budget for budget in all_budgets if budget.kind == TABLE}


def count_attempts(tx: Transaction, context: EngineContext, tables: Iterable[str]) -> None:
    """Count an attempt of each table that has a budget, in the transaction of their claims."""
    limited = {key for (kind, key), _ in _limits(context.pipeline) if kind == TABLE}
    day = quota_day(context.now(), context.pipeline.quota_timezone)
    for table, claims in Counter(tables).items():
        if table in limited:
            daily_budgets.add(tx, TABLE, table, day, spent=claims)


def quota_refusal(context: EngineContext, row: AttemptRow, ending: AttemptEnd) -> str:
    """Why a job failed if its last lines show an exhausted quota; empty for any other end."""
    quota_errors = context.pipeline.job_settings(row.processor).quota_errors
    lines = [line for line in ending.tail.splitlines() if any(e in line for e in quota_errors)]
    if ending.status is not AttemptStatus.EXITED or ending.ended_well or not lines:
        return ""
    return f"attempt {row.id} of {row.processor} met an exhausted quota ({last_line(lines[-1])})"


def hold_spent_table(tx: Transaction, context: EngineContext, table: str, why: str) -> Incident:
    """Hold a table until the quota day ends. Dates that wait for it show the reason."""
    zone = context.pipeline.quota_timezone
    until = next_midnight(context.now(), zone)
    reason = f"{why}; {table} goes on at {format_utc(until)}, midnight in {zone}"
    processor_and_table_holds.place_hold(tx, context, TABLE, table, reason=reason, until=until)
    return Incident(kind="budget", text=reason)


def allow_more(tx: Transaction, context: EngineContext, kind: str, key: str, extra: int | None) -> int | None:
    """Allow `extra` beyond what is used of a budget today, by default a tenth of its limit.

    Returns what was allowed. Returns None if there is no such budget, or if it is not used up and no `extra`
    was requested.
    """
    budget = get_budget(tx, context, kind, key)
    if budget is None or (extra is None and budget.left > 0):
        return None
    allowed = extra if extra is not None else max(budget.limit // EXTRA_SHARE, 1)
    day = quota_day(context.now(), context.pipeline.quota_timezone)
    daily_budgets.add(tx, kind, key, day, extra=allowed - min(budget.left, 0))
    return allowed


class BytesLedger:
    """The bytes of each quota day, in the state database."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def read(self, day: dt.date) -> tuple[int, int]:
        """Bytes billed on a day, and bytes allowed beyond the limit."""
        with self._db.read() as tx:
            used = daily_budgets.used(tx, day).get((WAREHOUSE, ""), Used())
        return used.spent, used.extra

    def add(self, day: dt.date, billed: int) -> None:
        """Count billed bytes, including those of a report that runs on a standby."""
        with self._db.write(fenced=False) as tx:
            daily_budgets.add(tx, WAREHOUSE, "", day, spent=billed)
