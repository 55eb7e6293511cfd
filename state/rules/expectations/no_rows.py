"""`no_rows`: any SQL about a date, which must find nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from pydantic import AfterValidator, ConfigDict, Field, RootModel

from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.base_warehouse_settings import SqlKind
from backfilld.state.pipeline.sql_parameters import parameter_names
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.rule import Finding, Rule
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


def _of_one_date(sql: str) -> str:
    """The SQL as it is.

    Raises:
        ValueError: it does not say which date it is about, or names parameters that it is not given.
    """
    names = parameter_names(sql)
    for name in ("start", "end", "dates"):
        if name in names:
            raise ValueError(f"is sent for each date alone, so there is no @{name}; write @date")
    if "date" not in names:
        raise ValueError("does not say which date it is about; write WHERE date = @date")
    return sql


class NoRows(RootModel[str], Rule):
    """`no_rows = "SELECT id FROM shop.orders WHERE date = @date AND amount < 0"`."""

    model_config = ConfigDict(frozen=True, strict=True)
    sql_kind: ClassVar[SqlKind] = "query"

    root: Annotated[str, Field(min_length=1), AfterValidator(_of_one_date)]

    def sql_texts(self) -> Mapping[str, str]:
        return {"": self.root}

    def uncounted(self, evidence: Evidence) -> str:
        return "" if evidence.offending else "the rows of no_rows were not counted"

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        """Any row is `degraded`; the first and the last one by their texts are named."""
        found = evidence.offending
        if not found or not found.rows:
            return None
        examples = f": {' and '.join(found.examples)}" if found.examples else ""
        return Verdict.DEGRADED, f"no_rows finds {pluralize(found.rows, 'row')}{examples}"

    def check_empty(self, evidence: Evidence, day: Day) -> Finding | None:
        absent = self.uncounted(evidence)
        return (Verdict.UNKNOWN, absent) if absent else self.check(evidence, day)
