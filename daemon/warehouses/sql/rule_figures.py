"""Completes evidence with the figures of rules that need a query of their own."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Mapping

from backfilld.daemon.warehouses.adapter import Purpose, QueryError
from backfilld.daemon.warehouses.sql.backend import Row
from backfilld.daemon.warehouses.sql.change_query import measure_queries
from backfilld.daemon.warehouses.sql.key_queries import key_queries
from backfilld.daemon.warehouses.sql.offending_queries import offending_queries
from backfilld.daemon.warehouses.sql.query_batches import Counts, Pair, TableQueries
from backfilld.daemon.warehouses.sql.rule_queries import RuleQuery, Wanted
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

    One query for all of them; SQL of the pipeline file is asked in queries of its own.

    Where it cannot be queried, the evidence has an `error` that names the rule.

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
        for date in query.judged:
            pair = query.processor.name, date
            completed[pair] = _completed(query, date, completed[pair], answered[query.name])
    return completed


def _completed(query: RuleQuery, date: dt.date, evidence: Evidence, found: Counts | QueryError) -> Evidence:
    try:
        return query.added_to(evidence, date, _rows(found, date))
    except QueryError as error:
        return Evidence(error=f"{query.processor.table}: {query.key} cannot be queried: {error}")


def _rows(found: Counts | QueryError, date: dt.date) -> Mapping[dt.date, Row]:
    """The rows of an answer, by date.

    Raises:
        QueryError: the query, or its part of this date, was not answered.
    """
    if isinstance(found, QueryError):
        raise found
    if isinstance(error := found.get(date), QueryError):
        raise error
    return {date: row for date, row in found.items() if not isinstance(row, QueryError)}
