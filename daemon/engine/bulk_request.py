"""Which dates a retry or an acceptance of many dates is for, and the answer of each of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from backfilld.daemon.engine.audited_operator_change import Conflict, NotFound
from backfilld.daemon.engine.enqueue_models import EARLIEST, LATEST, MOST_DATES
from backfilld.state.pipeline.phase import DONE
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import DateRow, Mark
from backfilld.state.rules.dates_between import dates_between
from backfilld.state.spelling_suggestions import did_you_mean
from backfilld.state.store import dates
from backfilld.state.store.database import Transaction
from backfilld.state.store.date_filters import DateFilter

NEVER_ENQUEUED = "was never enqueued; enqueue it"
UNMATCHED = "does not match the filter"
BEING_CANCELLED = "backfill {} is being cancelled; retry when its last date has ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class DateQuery:
    """A list of dates, or a range with both ends included, or neither; and filters."""

    dates: tuple[dt.date, ...] | None = None
    start: dt.date | None = None
    end: dt.date | None = None
    states: Collection[str] = ()
    mark: Mark | None = None
    """Done dates with this mark."""
    more: DateFilter = field(default_factory=DateFilter)

    @property
    def names_dates(self) -> bool:
        """Whether an operator names each date: one, or a list of them."""
        alone = self.start is not None and self.end in (None, self.start) and not self.filtered
        return alone or self.dates is not None

    @property
    def filtered(self) -> bool:
        """Whether a filter is stated."""
        return bool(self.states or self.mark or self.more != DateFilter())


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The dates that get an answer, oldest first, and the rows of those that were ever enqueued."""

    dates: Sequence[dt.date]
    rows: Mapping[dt.date, DateRow]
    unmatched: Collection[dt.date] = ()
    """Dates of the list that the filters do not match."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateAnswer:
    """What a request did to one date; `reason` says why it was refused, or what was changed."""

    date: dt.date
    changed: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateAnswers:
    """The answer of every date, oldest first."""

    answers: Sequence[DateAnswer]
    backfill_id: int | None = None
    """The backfill that runs single processors again; None where there is none."""

    @property
    def changed(self) -> list[dt.date]:
        """The dates that were changed."""
        return [answer.date for answer in self.answers if answer.changed]


def candidates(tx: Transaction, query: DateQuery) -> Candidates:
    """The dates that a query is for.

    A list and a range without filters are for every date of them; filters choose among the dates that were
    ever enqueued.

    Raises:
        Conflict: there are more than MOST_DATES of them.
    """
    if query.dates is not None:
        listed = sorted(set(query.dates))
        rows = dates.get_many(tx, listed)
        if not query.filtered or not listed:
            return Candidates(dates=listed, rows=rows)
        matching = _matching(tx, query, listed[0], listed[-1])
        return Candidates(dates=listed, rows=rows, unmatched=set(listed) - set(matching))
    rows = _matching(tx, query, query.start or EARLIEST, query.end or LATEST)
    if query.filtered or query.start is None:
        return Candidates(dates=list(rows), rows=rows)
    last = query.end or query.start
    every = list(dates_between(query.start, last))
    return Candidates(dates=every, rows=rows)


def _matching(tx: Transaction, query: DateQuery, start: dt.date, end: dt.date) -> dict[dt.date, DateRow]:
    states = [DONE] if query.mark else query.states
    found = dates.page(
        tx,
        start=start,
        end=end,
        states=states,
        mark=query.mark,
        more=query.more.conditions(),
        limit=MOST_DATES + 1,
    )
    if len(found) > MOST_DATES:
        raise Conflict(f"more than {MOST_DATES} dates match; narrow the range or the filters")
    return {row.date: row for row in found}


def answers(
    found: Candidates, refused: Mapping[dt.date, str], done: Mapping[dt.date, str]
) -> list[DateAnswer]:
    """The answer of each date: why it was refused, or what was done."""
    return [
        DateAnswer(date=date, changed=date not in refused, reason=refused.get(date, done.get(date, "")))
        for date in found.dates
    ]


def refuse_unknown(pipeline: Pipeline, processors: Collection[str]) -> None:
    """Raises NotFound where the pipeline file has no processor of one of the names."""
    for name in processors:
        if name not in pipeline.processors:
            hint = did_you_mean(name, pipeline.processors)
            raise NotFound(f"there is no processor '{name}'; {hint}")


def only_answer(result: DateAnswers) -> DateAnswer:
    """The answer of the only date of a request.

    Raises:
        NotFound: it was never enqueued.
        Conflict: it was refused for another reason.
    """
    (answer,) = result.answers
    if answer.changed:
        return answer
    about_date = answer.reason.startswith(("is ", "was "))
    text = f"{answer.date} {answer.reason}" if about_date else f"{answer.date}: {answer.reason}"
    raise NotFound(text) if answer.reason == NEVER_ENQUEUED else Conflict(text)
