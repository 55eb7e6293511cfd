"""`ratio`: rows relative to the rows of another processor's table for the same date."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Self

from pydantic import Field, model_validator

from backfilld.state.pipeline.field_types import check_order
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.rule import Finding, Range, RowBound, as_written
from backfilld.state.rules.season_calendar import Day
from backfilld.state.rules.verdict import Verdict


class Ratio(StrictModel, RowBound):
    """Rows relative to the rows that another processor's table has for the same date."""

    of: str
    """That processor, of an earlier state or named in `after`."""
    min: float = Field(default=0.0, ge=0)
    """Least rows for each row there."""
    max: float | None = Field(default=None, gt=0)
    """Most rows for each row there."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        check_order((self.min, self.max))
        return self

    def compared_with(self) -> str | None:
        return self.of

    def ranges(self, day: Day, reference: int | None) -> Iterator[Range]:
        if reference:
            most = None if self.max is None else math.floor(as_written(self.max) * reference)
            yield Range(math.ceil(as_written(self.min) * reference), most)

    def check(self, evidence: Evidence, day: Day) -> Finding | None:
        if evidence.reference:
            return None
        return Verdict.PARTIAL, f"{self.of}, which it is measured against, has no rows"
