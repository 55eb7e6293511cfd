"""Conditions of queries that partial indexes serve.

A partial index is used only by a query that repeats its condition literally, without a parameter.
"""

from __future__ import annotations

from sqlalchemy import Double, literal_column, text

from backfilld.state.pipeline.phase import FAILED
from backfilld.state.store.schema import attempts, backfill_dates, check_runs, checks, dates

IS_RUNNING = attempts.c.status == literal_column("'running'")
ENDED_WELL = attempts.c.exit_code == literal_column("0")
IS_RUNNABLE = checks.c.runnable == literal_column("1")
AWAITS_PERIOD = checks.c.runnable == literal_column("2")
IS_REGRESSED = dates.c.regressed != literal_column("''")
IS_STALE = dates.c.stale_at.is_not(None)
IS_UNENDED = check_runs.c.ended_at.is_(None)
IS_SWEPT = text("outcome IN ('complete', 'bootstrap', 'waived', 'selected', 'not_expected')")
"""A done date that the sweep checks again from time to time."""
LAST_CHECKED_AT = literal_column("coalesce(swept_at, ended_at)", Double)
IS_WANTED = backfill_dates.c.live == literal_column("1")
IS_FAILED = backfill_dates.c.state == literal_column(f"'{FAILED}'")
IS_UNSATISFIED = checks.c.satisfied == literal_column("0")
