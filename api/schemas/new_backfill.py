"""The request for a backfill."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Annotated, Self

from pydantic import Field, model_validator

from backfilld.api.schemas.field_types import DateList, PlainDate, Text, fault
from backfilld.api.schemas.range_validators import refuse_list_and_range, refuse_reversed, refuse_wide
from backfilld.daemon.engine.enqueue_models import EARLIEST, MOST_DATES
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.records import Sources
from backfilld.state.rules.dates_between import dates_between

Terms = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=100)], ...], Field(max_length=1000, strict=False)
]
"""Terms of a selection: `name` or `phase:name`, with `+` before it for upstream, after it for downstream."""


class NewBackfill(StrictModel):
    """A request for a range (`start` to `end`, both included) or a list of dates.

    Only the jobs of the processors in `select` and not in `exclude` run; without both, all of them.
    """

    start: PlainDate | None = None
    end: PlainDate | None = None
    dates: DateList | None = None
    sources: Annotated[Sources, Field(strict=False)] = Sources.ALL
    select: Annotated[Terms, Field(min_length=1)] | None = None
    exclude: Terms = ()
    with_upstream: bool = False
    force: bool = False
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    max_failures: Annotated[int, Field(ge=1, le=MOST_DATES)] | None = None
    note: Text = ""
    dry_run: bool = False

    @model_validator(mode="after")
    def _range_or_list(self) -> Self:
        refuse_list_and_range(self.dates, self.start, self.end)
        if self.dates is not None:
            refuse_wide("dates", min(self.dates), max(self.dates))
        elif self.start is None:
            raise fault("start", "is missing; give start and end, or dates")
        else:
            refuse_reversed(self.start, self.end)
            refuse_wide("end", self.start, self.end or self.start)
        return self

    @property
    def requested(self) -> tuple[dt.date, ...]:
        """The requested dates, sorted, without duplicates."""
        if self.dates is not None:
            return tuple(sorted(set(self.dates)))
        first = self.start or EARLIEST
        last = self.end or first
        return tuple(dates_between(first, last))

    @property
    def digest(self) -> str:
        """A hash of the values: equal for equal requests, however their JSON was written."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()
