"""The platform's run history: the query for it, and what its rows mean. Pure.

Two rows share a run id: one while it runs, one when it has ended; the first is never updated. A run
without a final row is open. The phase column is not read: its spelling differs between writers.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from sqlglot import exp

from backfilld.daemon.warehouses.sql.date_predicates import (
    DateColumn,
    DateFilter,
    DateRange,
    is_in,
    parameter,
)
from backfilld.daemon.warehouses.sql.evidence_queries import (
    CACHED,
    PartitionFilter,
    Query,
    Select,
    Statement,
    table_of,
)
from backfilld.state.formatting import strip_unstorable
from backfilld.state.pipeline.run_history_settings import HistorySettings
from backfilld.state.rules.evidence import HistoryRun

DETAIL_LENGTH = 300
"""Characters of an error text that are kept."""
MAX_DEPTH = 100
"""Lists and objects within each other of which a text is made; deeper ones are shown as they are."""

_GENERIC = ("", "success", "succeeded", "failed", "failure", "error")
"""Status words that say no more than that a run succeeded or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The latest run that ended and the latest that did not."""

    closed: HistoryRun | None = None
    open: HistoryRun | None = None


def runs_query(
    history: HistorySettings,
    names: Collection[str],
    dates: Collection[dt.date],
    *,
    without: Collection[str] = (),
) -> Query:
    """One query for the latest closed and the latest open run of every (name, date).

    `without` names columns that the table turned out not to have; they are answered with NULL.
    """
    days = tuple(sorted(set(dates)))
    filters = DateFilter()
    statement = _statement(history, filters.add(days, DateColumn(history.date)), frozenset(without))
    words = tuple(word.lower() for word in history.running)
    params = {**filters.params, "names": tuple(sorted(set(names))), "running": words}
    part = PartitionFilter(table=history.table, column=history.date, dates=days)
    return Query(selects=(Select(statement=statement, partitions=(part,)),), params=params)


@lru_cache(maxsize=CACHED)
def _statement(history: HistorySettings, dates: DateRange, without: frozenset[str]) -> Statement:
    entries = (
        exp.select(*(exp.alias_(tree, name) for name, tree in _columns(history, without).items()))
        .from_(table_of(history.table))
        .where(dates.predicate, is_in(exp.column(history.processor, quoted=True), "names"))
    )
    return Statement(_latest_runs(entries))


def _latest_runs(entries: exp.Select) -> exp.Expr:
    """Of the rows of each run the last one, and of these the latest closed and the latest open run."""
    runs = exp.select(
        "*",
        exp.alias_(_over(exp.Min(this=exp.column("started")), "processor", "date", "run"), "since"),
        exp.alias_(_rank(("processor", "date", "run"), _up("open"), _down("ended"), _down("started")), "nth"),
    ).from_("entries")
    latest = exp.alias_(_rank(("processor", "date", "open"), _down("since"), _down("ended")), "latest")
    ranked = exp.select("*", latest).from_("runs").where(exp.column("nth").eq(1))
    return (
        exp.select(*map(exp.column, ANSWERED))
        .from_("ranked")
        .where(exp.column("latest").eq(1))
        .with_("entries", as_=entries)
        .with_("runs", as_=runs)
        .with_("ranked", as_=ranked)
    )


ANSWERED = ("processor", "date", "status", "open", "since", "ended", "detail", "controller")
"""The columns of the answer."""


def _rank(partition: Sequence[str], *order: exp.Ordered) -> exp.Window:
    return _over(exp.RowNumber(), *partition, order=order)


def _over(function: exp.Expr, *partition: str, order: Sequence[exp.Ordered] = ()) -> exp.Window:
    columns = [exp.column(name) for name in partition]
    return exp.Window(
        this=function, partition_by=columns, order=exp.Order(expressions=list(order)) if order else None
    )


def _up(column: str) -> exp.Ordered:
    return exp.Ordered(this=exp.column(column), nulls_first=True)


def _down(column: str) -> exp.Ordered:
    """Descending, with NULL last in every dialect."""
    return exp.Ordered(this=exp.column(column), desc=True, nulls_first=False)


def optional_columns(history: HistorySettings) -> tuple[str, ...]:
    """The columns that the query can do without."""
    columns = (history.detail, history.ended_at, history.run_id, history.controller)
    required = (history.date, history.processor, history.status, history.started_at)
    return tuple(column for column in columns if column and column not in required)


def _columns(history: HistorySettings, without: frozenset[str]) -> dict[str, exp.Expr]:
    """The columns of `entries` by alias."""

    def known(column: str | None) -> exp.Column | None:
        return exp.column(column, quoted=True) if column and column not in without else None

    def text(column: str | None) -> exp.Expr:
        return exp.cast(known(column) or exp.null(), "TEXT")

    def instant(column: str) -> exp.Expr:
        found = known(column)
        if found is None:
            return exp.cast(exp.null(), "BIGINT")
        moment = exp.DataType.build("TIMESTAMPTZ")
        return exp.UnixMicros(this=exp.TryCast(this=found, to=moment, safe=True))

    detail = known(history.detail)
    status = exp.func("COALESCE", exp.Lower(this=text(history.status)), exp.Literal.string(""))
    run = exp.func("COALESCE", text(history.run_id), text(history.started_at), exp.Literal.string(""))
    running = exp.In(this=status.copy(), unnest=exp.Unnest(expressions=[parameter("running")]))
    return {
        "processor": exp.column(history.processor, quoted=True),
        "date": exp.column(history.date, quoted=True),
        # A row without a run id is a run of its own.
        "run": run,
        "status": status,
        "open": running,
        "started": instant(history.started_at),
        "ended": instant(history.ended_at),
        # The column is a JSON one here, a text there: as JSON, both can be read.
        "detail": exp.Substring(
            this=exp.JSONFormat(this=detail) if detail else text(None),
            start=exp.Literal.number(1),
            length=exp.Literal.number(8 * DETAIL_LENGTH),
        ),
        "controller": text(history.controller),
    }


def parse_runs(
    rows: Iterable[Mapping[str, Any]], history: HistorySettings
) -> dict[tuple[str, dt.date], Runs]:
    """The runs by (name in the history, date)."""
    runs: dict[tuple[str, dt.date], Runs] = {}
    for row in rows:
        key = (row["processor"], row["date"])
        run = _open_run(row, history) if row["open"] else _closed_run(row, history)
        runs[key] = latest([runs.get(key, Runs()), Runs(open=run) if row["open"] else Runs(closed=run)])
    return runs


def latest(runs: Iterable[Runs]) -> Runs:
    """The latest of each kind, by start: for a processor that the history knows under several names."""
    candidates = list(runs)

    def newest(runs: Iterable[HistoryRun | None]) -> HistoryRun | None:
        return max((run for run in runs if run), key=lambda run: run.started_at, default=None)

    return Runs(closed=newest(r.closed for r in candidates), open=newest(r.open for r in candidates))


def _open_run(row: Mapping[str, Any], history: HistorySettings) -> HistoryRun:
    who = row["controller"]
    # A start that is not recorded counts as long ago: no date must wait for such a run.
    detail = f"started by {strip_unstorable(who)}" if who else ""
    return HistoryRun(succeeded=False, started_at=_seconds(row["since"], history) or 0.0, detail=detail)


def _closed_run(row: Mapping[str, Any], history: HistorySettings) -> HistoryRun:
    started, ended = _seconds(row["since"], history), _seconds(row["ended"], history)
    first, last = (moment for moment in (started or ended or 0.0, ended or started or 0.0))
    word, text = row["status"], _text(row["detail"])
    words = [strip_unstorable(word)] if word not in _GENERIC else []
    return HistoryRun(
        succeeded=word in [known.lower() for known in history.succeeded],
        started_at=first,
        ended_at=last,
        detail=": ".join([*words, *([text] if text else [])]) or ("no status" if not word else ""),
    )


def _seconds(micros: int | None, history: HistorySettings) -> float | None:
    """Epoch seconds of a time that the query took for UTC, and that is local where the file states a zone."""
    if micros is None:
        return None
    seconds = int(micros) / 1e6
    if history.timezone is None:
        return seconds
    try:
        local = dt.datetime.fromtimestamp(seconds, dt.UTC).replace(tzinfo=ZoneInfo(history.timezone))
        return local.timestamp()
    except (OverflowError, ValueError):  # beyond the years that a calendar has
        return seconds


def _text(detail: str | None) -> str:
    """The readable text of an error column, from its JSON: one line of at most DETAIL_LENGTH."""
    try:
        message = _plain(_decoded(detail or "null"))
    except RecursionError:
        message = detail or ""  # lists in lists in lists are shown as they are
    line = " ".join(strip_unstorable(message).split())
    return line if len(line) <= DETAIL_LENGTH else line[: DETAIL_LENGTH - 1] + "…"


def _decoded(text: str) -> Any:
    """The value of a JSON text, also where that is a text of JSON; other (or truncated) text as it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip('"')
    return _decoded(value) if isinstance(value, str) and value[:1] in ("[", "{", '"') else value


def _plain(value: Any, depth: int = 0) -> str:
    """The text of a decoded value. Raises RecursionError below MAX_DEPTH; the limits of Pythons differ."""
    if not value:
        return ""
    if depth > MAX_DEPTH:
        raise RecursionError
    if isinstance(value, list):
        return "; ".join(filter(None, (_plain(one, depth + 1) for one in value)))
    if isinstance(value, dict):
        known = next((value[key] for key in ("message", "error", "error_message") if value.get(key)), None)
        return _plain(known, depth + 1) if known else json.dumps(value, ensure_ascii=False)
    return str(value)
