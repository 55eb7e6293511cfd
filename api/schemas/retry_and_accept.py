"""Bodies of retries and acceptances: which dates, and how. Unknown keys are rejected."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from backfilld.api.schemas.field_types import (
    DateList,
    PlainDate,
    Reason,
    fault,
)
from backfilld.api.schemas.filter_field_types import (
    OutcomesOfBody,
    ProcessorName,
    StatesOfBody,
    VerdictsOfBody,
)
from backfilld.api.schemas.range_validators import (
    refuse_contradiction,
    refuse_list_and_range,
    refuse_reversed,
    refuse_wide,
)
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.records import Mark


class RetryDate(StrictModel):
    """How a date is retried: `force` runs every processor once, whatever its verdict.

    `cascade` runs what is stale once, on this date and on every date that is stale because of it.
    `processor` runs that one alone, once, whatever its verdict.
    """

    force: bool = False
    cascade: bool = False
    processor: ProcessorName | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        refuse_contradiction("processor", self.processor is not None, force=self.force, cascade=self.cascade)
        return self


class DatesBody(StrictModel):
    """A list of dates, a range (`start` to `end`, both included), or neither; and filters.

    `state`, `outcome` and `verdict` are one value, several with commas between them, or a list. `mark` is for
    done dates.
    """

    dates: DateList | None = None
    start: PlainDate | None = None
    end: PlainDate | None = None
    state: StatesOfBody | None = None
    outcome: OutcomesOfBody | None = None
    mark: Annotated[Mark, Field(strict=False)] | None = None
    processors: (
        Annotated[tuple[ProcessorName, ...], Field(min_length=1, max_length=1000, strict=False)] | None
    ) = None
    verdict: VerdictsOfBody | None = None

    @model_validator(mode="after")
    def _some_dates(self) -> Self:
        refuse_reversed(self.start, self.end)
        refuse_list_and_range(self.dates, self.start, self.end)
        if self.mark and self.state:
            raise fault("mark", "is for done dates; leave state out")
        if not (self.dates or self.start or self.state or self.outcome or self.mark or self.verdict):
            raise fault("start", "is missing; give a range, dates, or state, outcome, mark or verdict")
        if self.start is not None:
            refuse_wide("end", self.start, self.end or self.start)
        return self


class RetryDates(DatesBody):
    """The dates to retry. With `processors` these run alone, once, whatever their verdicts.

    `force` and `cascade` are as for one date. `dry_run` returns the answers and changes nothing.
    """

    force: bool = False
    cascade: bool = False
    dry_run: bool = False

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        alone = bool(self.processors)
        refuse_contradiction("processors", alone, force=self.force, cascade=self.cascade, mark=self.mark)
        return self


class AcceptDates(DatesBody):
    """The dates whose missing outputs are waived, and the reason; without `processors` all of them."""

    reason: Reason


class Accept(StrictModel):
    """The processor whose output is waived, and the reason."""

    processor: ProcessorName
    reason: Reason
