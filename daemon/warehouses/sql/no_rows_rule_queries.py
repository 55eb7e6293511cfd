"""The queries of `expect.no_rows`: how many rows its SQL finds for each date, and two of them. Pure.

The SQL is about one date, so a query is the UNION ALL of it for up to `DATES_PER_QUERY` dates, each with a
parameter of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from sqlglot import exp

from backfilld.daemon.warehouses.adapter import Wanted
from backfilld.daemon.warehouses.sql.backend_interface import Row
from backfilld.daemon.warehouses.sql.date_predicates import DateColumn, DateFilter, parameter
from backfilld.daemon.warehouses.sql.evidence_queries import (
    CACHED,
    Select,
    Statement,
    answer_columns,
    dates_of,
    joined,
)
from backfilld.daemon.warehouses.sql.fragment_embedding import bracketed
from backfilld.daemon.warehouses.sql.rule_query import RuleQuery, whole
from backfilld.state.formatting import strip_unstorable
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.sql_parameters import replace_parameters
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.aggregate_types import OffendingRows

DATES_PER_QUERY = 50
EXAMPLE_LENGTH = 120
"""Characters of a row that are kept."""
_ROW = "offending_row"
_SEPARATOR = "\t"
"""Between two rows of an answer; no row has it, as JSON writes it otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OffendingQuery(RuleQuery):
    """The rows that the SQL of a processor finds. `number` distinguishes its queries."""

    sql: str
    number: int

    @property
    def key(self) -> str:
        """The rule's key in the pipeline file."""
        return "expect.no_rows"

    @property
    def name(self) -> str:
        """The name of its rows in the answer."""
        return f"{self.processor.name}:{self.key}:{self.number}"

    @property
    def is_separate(self) -> bool:
        """True: SQL of the pipeline file about anything is sent in a query of its own."""
        return True

    def with_columns(self, column_of: Callable[[Processor], DateColumn]) -> OffendingQuery:
        """The query as it is: its SQL names the date column itself."""
        del column_of
        return self

    def selects(self, dates: DateFilter) -> Iterator[Select]:
        """A SELECT for each date."""
        for date in self.dates:
            yield Select(statement=_statement(self.name, self.sql, dates.add_date(date)))

    def added_to(self, evidence: Evidence, date: dt.date, rows: Mapping[dt.date, Row]) -> Evidence:
        """The evidence with the rows that were found for a date.

        Raises:
            QueryError: the answer cannot be read.
        """
        if date not in rows:
            return evidence
        texts = str(rows[date]["text"] or "").split(_SEPARATOR)
        examples = tuple(dict.fromkeys(strip_unstorable(text) for text in texts if text))
        return replace(evidence, offending=OffendingRows(rows=whole(rows[date]["n"]), examples=examples))


def offending_queries(processors: Mapping[str, Processor], wanted: Wanted) -> Iterator[OffendingQuery]:
    """The queries of each wanted processor that states `no_rows`, for some of its dates each."""
    for processor, days in dates_of(processors, wanted):
        if rule := processor.expect.no_rows:
            for number, first in enumerate(range(0, len(days), DATES_PER_QUERY)):
                some = days[first : first + DATES_PER_QUERY]
                yield OffendingQuery(
                    processor=processor, dates=some, judged=some, sql=rule.root, number=number
                )


@lru_cache(maxsize=CACHED)
def _statement(name: str, sql: str, date: str) -> Statement:
    """One row for one date, also where nothing is found."""
    text = replace_parameters(sql.strip().rstrip(";"), lambda name: f"@{date if name == 'date' else name}")
    found = exp.alias_(bracketed(text), _ROW)
    json = exp.JSONFormat(this=exp.column(_ROW))
    rows = exp.select(exp.alias_(json, "shown")).from_(found).subquery("offending")
    examples = joined([_short(exp.Min), _short(exp.Max)], _SEPARATOR)
    return Statement(answer_columns(name, exp.cast(parameter(date), "DATE"), text=examples).from_(rows))


def _short(extreme: type[exp.Min] | type[exp.Max]) -> exp.Expr:
    start, length = exp.Literal.number(1), exp.Literal.number(EXAMPLE_LENGTH)
    return exp.Substring(this=extreme(this=exp.column("shown")), start=start, length=length)
