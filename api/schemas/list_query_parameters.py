"""Queries of lists: the page, and which of its items. Unknown keys are rejected."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from backfilld.api.schemas.field_types import (
    DateCursor,
    Flag,
    Id,
    Limit,
    NumberCursor,
    PlainDate,
)
from backfilld.api.schemas.filter_field_types import Outcomes, ProcessorName, ReasonPart, Statuses, Verdicts
from backfilld.api.schemas.range_validators import (
    refuse_reversed,
)
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.records import Action, Mark


class Page(StrictModel):
    """Page size of a list."""

    limit: Limit = 100


class BackfillsPage(Page):
    """A page of backfills, newest first. `live`: only those with live dates or running jobs, or the rest."""

    cursor: NumberCursor | None = None
    live: Flag | None = None


class BackfillDatesPage(Page):
    """A page of a backfill's dates, oldest first."""

    cursor: DateCursor | None = None


class DateScopeQuery(StrictModel):
    """Which dates: those that a backfill has enqueued or joined, those of a season, or all.

    A season is named as in the pipeline file, or by its years: `2021-22`, `2021`.
    """

    backfill: Id | None = None
    season: Annotated[str, Field(min_length=1, max_length=100)] | None = None


class DatesPage(Page, DateScopeQuery):
    """A page of dates, oldest first; `state`, `outcome`, `verdict`: one value or a comma-separated list.

    `processor` with `verdict`: the processor that has it; alone: the one that is not satisfied. `reason` is a
    part of why a date ended or of why a verdict is unsatisfied.
    """

    start: PlainDate | None = None
    end: PlainDate | None = None
    state: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    outcome: Outcomes | None = None
    mark: Annotated[Mark, Field(strict=False)] | None = None
    processor: ProcessorName | None = None
    verdict: Verdicts | None = None
    reason: ReasonPart | None = None
    cursor: DateCursor | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        refuse_reversed(self.start, self.end)
        return self


class AttemptsPage(Page, DateScopeQuery):
    """A page of attempts, newest first; `status` and `verdict` are one value or a comma-separated list.

    `failed`: attempts that neither exited with code 0 nor were cancelled, and those whose output was not
    satisfied afterwards; `false`: all others. `reason` is a part of how the job ended or of why its verdict
    is what it is.
    """

    status: Statuses | None = None
    failed: Flag | None = None
    processor: ProcessorName | None = None
    verdict: Verdicts | None = None
    reason: ReasonPart | None = None
    cursor: NumberCursor | None = None


class AuditPage(Page):
    """A page of the audit log, newest first; `start` and `end` are UTC days, both included."""

    actor: Annotated[str, Field(min_length=1, max_length=80)] | None = None
    action: Annotated[Action, Field(strict=False)] | None = None
    target: Annotated[str, Field(min_length=1, max_length=600)] | None = None
    start: PlainDate | None = None
    end: PlainDate | None = None
    cursor: NumberCursor | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        refuse_reversed(self.start, self.end)
        return self
