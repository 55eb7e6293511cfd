"""Completes evidence with the figures of rules that need a query of their own."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping

from backfilld.daemon.warehouses.adapter import Pair, Purpose, QueryError, Wanted
from backfilld.daemon.warehouses.sql.backend_interface import Row
from backfilld.daemon.warehouses.sql.change_from_earlier_dates_queries import measure_queries
from backfilld.daemon.warehouses.sql.failure_isolation import Counts, TableQueries
from backfilld.daemon.warehouses.sql.key_comparison_queries import key_queries
from backfilld.daemon.warehouses.sql.no_rows_rule_queries import offending_queries
from backfilld.daemon.warehouses.sql.rule_query import RuleQuery
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.evidence import Evidence


def rule_queries(processors: Mapping[str, Processor], wanted: Wanted) -> Iterator[RuleQuery]:
    """The queries of the rules of wanted processors, beside those of rows and figures."""
    yield from key_queries(processors, wanted)
    yield from measure_queries(processors, wanted)
    yield from offending_queries(processors, wanted)


def with_rule_figures(
    processors: Mapping[str, Processor],
    tables: TableQueries,
    answers: Mapping[Pair, Evidence],
    *,
    purpose: Purpose,
) -> dict[Pair, Evidence]:
    """The evidence with what such rules need of the pairs that have rows, or an empty partition.

    One query for all of them; SQL of the pipeline file is sent in queries of its own. Evidence of a pair
    whose query fails has an `error` that names the rule.

    Raises:
        WarehouseError: no query can be answered now.
    """
    present: dict[str, list[dt.date]] = defaultdict(list)
    for (name, date), evidence in answers.items():
        if (evidence.rows or evidence.has_partition) and not evidence.error:
            present[name].append(date)
    completed = dict(answers)
    queries = list(rule_queries(processors, present))
    answered = tables.query(queries, purpose=purpose) if queries else {}
    for query in queries:
        rows, errors = _rows_and_errors(query, answered[query.name])
        for date in query.judged:
            pair = query.processor.name, date
            completed[pair] = _completed(query, date, completed[pair], rows, errors.get(date))
    return completed


def _completed(
    query: RuleQuery,
    date: dt.date,
    evidence: Evidence,
    rows: Mapping[dt.date, Row],
    error: QueryError | None,
) -> Evidence:
    if error is None:
        try:
            return query.added_to(evidence, date, rows)
        except QueryError as unreadable:
            error = unreadable
    return Evidence(error=f"{query.processor.table}: {query.key} cannot be queried: {error.evidence}")


def _rows_and_errors(
    query: RuleQuery, answer: Counts | QueryError
) -> tuple[Mapping[dt.date, Row], Mapping[dt.date, QueryError]]:
    """The rows of an answer by date, and the errors of the dates that were not answered."""
    if isinstance(answer, QueryError):
        return {}, dict.fromkeys(query.judged, answer)
    errors = {date: row for date, row in answer.items() if isinstance(row, QueryError)}
    return {date: row for date, row in answer.items() if not isinstance(row, QueryError)}, errors
