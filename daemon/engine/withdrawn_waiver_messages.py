"""The waivers that operators gave and a retry or a new request withdraws, by name.

An output that an operator accepted is missing or wrong, so it is what a retry asks for once more. A waiver
ends with the request that names it: what is accepted after that stays accepted.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping

from backfilld.state.formatting import join_truncated
from backfilld.state.records import CheckRow, DateRow
from backfilld.state.store import checks, reset_checks
from backfilld.state.store.database import Transaction

_NAMED = 5
"""How many outputs of a date the text names before it counts the rest."""


def withdrawn(
    tx: Transaction, wanted: Collection[dt.date], runs: Callable[[CheckRow], bool] = lambda check: True
) -> dict[dt.date, str]:
    """Which waivers a retry of dates withdraws, as text, for the dates that have any.

    `runs` says whether it runs an output again; by default it runs whatever is missing.
    """
    return _texts(filter(runs, checks.accepted(tx, wanted)))


def withdraw(
    tx: Transaction, wanted: Collection[dt.date], runs: Callable[[CheckRow], bool]
) -> dict[dt.date, str]:
    """Withdraw the waivers of dates on outputs that run again. Returns them as `withdrawn` does."""
    accepted = list(filter(runs, checks.accepted(tx, wanted)))
    reset_checks.withdraw_acceptances(tx, [(check.date, check.processor) for check in accepted])
    return _texts(accepted)


def _texts(accepted: Iterable[CheckRow]) -> dict[dt.date, str]:
    by_date: dict[dt.date, list[CheckRow]] = defaultdict(list)
    for check in accepted:
        by_date[check.date].append(check)
    return {date: withdrawal(of_date) for date, of_date in by_date.items()}


def withdrawal(outputs: Iterable[CheckRow]) -> str:
    """The waivers of outputs that run again, as text; empty for none."""
    accepted = [
        f"{check.processor} (accepted by {check.accepted_by}: {check.accepted_reason})"
        for check in sorted(outputs, key=lambda check: check.processor)
        if check.accepted_reason
    ]
    return f"withdraws the waiver of {join_truncated(accepted, _NAMED)}" if accepted else ""


def with_same_text(ended: Iterable[DateRow], texts: Mapping[dt.date, str]) -> dict[str, list[DateRow]]:
    """The dates with the same text together; the empty text for those without one."""
    found: dict[str, list[DateRow]] = defaultdict(list)
    for row in ended:
        found[texts.get(row.date, "")].append(row)
    return found
