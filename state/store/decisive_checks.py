"""The checks that decide what live dates do now: few of those of states that are far off, or passed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection

from sqlalchemy import Connection, and_, bindparam, or_

from backfilld.state.records import CheckRow
from backfilld.state.store import row_mappers
from backfilld.state.store.schema import checks
from backfilld.state.store.sql_helpers import select_by_dates

_IS_HERE = checks.c.processor.in_(bindparam("_here", expanding=True))
_IS_PASSED = checks.c.processor.in_(bindparam("_passed", expanding=True))
_IS_DECISIVE = or_(
    _IS_HERE,
    checks.c.attempt_id.is_not(None),
    checks.c.runnable != 0,
    checks.c.stale_at.is_not(None),
    checks.c.accepted_reason != "",
    # The list comes last: SQLite looks at it only for these few, and else does not even sort it.
    and_(or_(checks.c.satisfied == 0, checks.c.query_due_at.is_not(None)), _IS_PASSED),
)


def for_dates(
    tx: Connection, wanted: Collection[dt.date], here: Collection[str], passed: Collection[str]
) -> dict[dt.date, dict[str, CheckRow]]:
    """The decisive checks of some dates, by date and processor.

    They are those of the processors `here`; those of `passed` that are not satisfied or are queried again;
    and, of any processor, those that run or may start, are stale, or were accepted.
    """
    found: dict[dt.date, dict[str, CheckRow]] = {date: {} for date in wanted}
    values = {"_here": list(here), "_passed": list(passed)}
    for row in select_by_dates(tx, checks, found, _IS_DECISIVE, values=values):
        found[row.date][row.processor] = row_mappers.check(row)
    return found
