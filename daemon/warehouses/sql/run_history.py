"""The platform's run history: what it is asked, and what its rows say. Pure.

Two rows share a run id: one while it runs, one when it has ended; the first is never updated. A run
without a final row is open. The phase column is not looked at: its spelling differs between writers.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from backfilld.daemon.warehouses.sql.queries import DateFilter, PartitionFilter, Query, Select, quoted
from backfilld.state.formatting import strip_unstorable
from backfilld.state.pipeline.sections import HistorySettings
from backfilld.state.rules.verdict import HistoryRun

DETAIL_LENGTH = 300
"""Characters of an error text that are kept."""

_UNSAYING = ("", "success", "succeeded", "failed", "failure", "error")
"""Status words that say no more than that a run succeeded or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """The latest run that ended and the latest that did not."""

    closed: HistoryRun | None = None
    open: HistoryRun | None = None


def question(
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
    spans = DateFilter()
    where = spans.predicate(history.date, days)
    words = tuple(word.lower() for word in history.running)
    params = {**spans.params, "names": tuple(sorted(set(names))), "running": words}
    columns = ",\n    ".join(
        f"{sql} AS {alias}" for alias, sql in _columns(history, frozenset(without)).items()
    )
    sql = _SQL.format(
        columns=columns, table=quoted(history.table), where=where, name=quoted(history.processor)
    )
    part = PartitionFilter(table=history.table, column=history.date, dates=days)
    return Query(branches=(Select(sql=sql, slice=part),), params=params)


def optional_columns(history: HistorySettings) -> tuple[str, ...]:
    """The columns that the question can do without."""
    columns = (history.detail, history.ended_at, history.run_id, history.controller)
    required = (history.date, history.processor, history.status, history.started_at)
    return tuple(column for column in columns if column and column not in required)


_SQL = """WITH entries AS (
  SELECT
    {columns}
  FROM {table}
  WHERE {where} AND {name} IN UNNEST(@names)
), runs AS (
  SELECT *, MIN(started) OVER (PARTITION BY processor, date, run) AS since
  FROM entries
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (PARTITION BY processor, date, run ORDER BY open, ended DESC, started DESC) = 1
)
SELECT processor, date, status, open, since, ended, detail, controller
FROM runs
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY processor, date, open ORDER BY since DESC, ended DESC) = 1"""


def _columns(history: HistorySettings, without: frozenset[str]) -> dict[str, str]:
    """The entries' columns by alias."""

    def text(column: str | None, sql: str = "CAST({} AS STRING)") -> str:
        known = column is not None and column not in without
        return sql.format(quoted(column)) if column and known else "CAST(NULL AS STRING)"

    def instant(column: str) -> str:
        known = column not in without
        return f"UNIX_MICROS(SAFE_CAST({quoted(column)} AS TIMESTAMP))" if known else "CAST(NULL AS INT64)"

    status = f"COALESCE(LOWER({text(history.status)}), '')"
    return {
        "processor": quoted(history.processor),
        "date": quoted(history.date),
        # A row without a run id is a run of its own.
        "run": f"COALESCE({text(history.run_id)}, {text(history.started_at)}, '')",
        "status": status,
        "open": f"{status} IN UNNEST(@running)",
        "started": instant(history.started_at),
        "ended": instant(history.ended_at),
        # The column is a JSON one here, a text there: as JSON, both can be read.
        "detail": f"SUBSTR({text(history.detail, 'TO_JSON_STRING({})')}, 1, {8 * DETAIL_LENGTH})",
        "controller": text(history.controller),
    }


def read(rows: Iterable[Mapping[str, Any]], history: HistorySettings) -> dict[tuple[str, dt.date], Runs]:
    """The runs by (name in the history, date)."""
    runs: dict[tuple[str, dt.date], Runs] = {}
    for row in rows:
        key = (row["processor"], row["date"])
        run = _open_run(row) if row["open"] else _closed_run(row, history)
        runs[key] = latest([runs.get(key, Runs()), Runs(open=run) if row["open"] else Runs(closed=run)])
    return runs


def latest(runs: Iterable[Runs]) -> Runs:
    """The latest of each kind, by start: for a processor that the history knows under several names."""
    known = list(runs)

    def newest(found: Iterable[HistoryRun | None]) -> HistoryRun | None:
        return max((run for run in found if run), key=lambda run: run.started_at, default=None)

    return Runs(closed=newest(r.closed for r in known), open=newest(r.open for r in known))


def _open_run(row: Mapping[str, Any]) -> HistoryRun:
    who = row["controller"]
    # A start that is not told is long ago: nobody must wait for it.
    detail = f"started by {strip_unstorable(who)}" if who else ""
    return HistoryRun(succeeded=False, started_at=_seconds(row["since"]) or 0.0, detail=detail)


def _closed_run(row: Mapping[str, Any], history: HistorySettings) -> HistoryRun:
    started, ended = _seconds(row["since"]), _seconds(row["ended"])
    first, last = (moment for moment in (started or ended or 0.0, ended or started or 0.0))
    word, text = row["status"], _text(row["detail"])
    words = [strip_unstorable(word)] if word not in _UNSAYING else []
    return HistoryRun(
        succeeded=word in [known.lower() for known in history.succeeded],
        started_at=first,
        ended_at=last,
        detail=": ".join([*words, *([text] if text else [])]) or ("no status" if not word else ""),
    )


def _seconds(micros: int | None) -> float | None:
    return None if micros is None else int(micros) / 1e6


def _text(detail: str | None) -> str:
    """What a person would read of an error column, from its JSON: one line of at most DETAIL_LENGTH."""
    try:
        told = _plain(_decoded(detail or "null"))
    except RecursionError:
        told = detail or ""  # lists in lists in lists: nobody reads them, and they must not stop the rest
    line = " ".join(strip_unstorable(told).split())
    return line if len(line) <= DETAIL_LENGTH else line[: DETAIL_LENGTH - 1] + "…"


def _decoded(text: str) -> Any:
    """A JSON text as what it holds, a text that holds JSON included; what is no (whole) JSON as it is."""
    try:
        value = json.loads(text)
    except ValueError:
        return text.strip('"')
    return _decoded(value) if isinstance(value, str) and value[:1] in ("[", "{", '"') else value


def _plain(value: Any) -> str:
    if not value:
        return ""
    if isinstance(value, list):
        return "; ".join(filter(None, map(_plain, value)))
    if isinstance(value, dict):
        known = next((value[key] for key in ("message", "error", "error_message") if value.get(key)), None)
        return _plain(known) if known else json.dumps(value, ensure_ascii=False)
    return str(value)
