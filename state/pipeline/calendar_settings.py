"""The `[calendar]` table of the pipeline file, with its seasons."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Self

from pydantic import Field, model_validator

from backfilld.state.pipeline.days_settings import DaysSettings
from backfilld.state.pipeline.strict_model import StrictModel


class SeasonSettings(StrictModel):
    """A season as the file states it, both ends included."""

    name: str = Field(min_length=1)
    """What it is called."""
    opens: dt.date
    """Its first date, which is day 0."""
    closes: dt.date
    """Its last date."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.opens > self.closes:
            raise ValueError(f"opens {self.opens} is after closes {self.closes}")
        return self


class CalendarSettings(StrictModel):
    """Where the counts per date come from: SQL, a CSV file, or neither (every date is expected)."""

    query: str | None = None
    """SQL that gives `date` (a DATE) and any counts, such as `games`, from `@start` to `@end`, in the dialect
    of the warehouse. A date without a row, or with counts of 0 only, is not expected."""
    file: str | None = None
    """A CSV file relative to the pipeline file; its header has `date` and any counts, as in `date,games`."""
    bootstrap_days: int = Field(default=0, ge=0, le=366)
    """The first days of a season, which phases with `skip_bootstrap` pass by."""
    days: tuple[DaysSettings, ...] = Field(default=(), strict=False)
    """Days by name, on which a processor with `days` has output."""
    season: tuple[SeasonSettings, ...] = Field(default=(), strict=False)
    """Seasons; dates outside of them are not expected. Without any, every date may be."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.query and self.file:
            raise ValueError("query and file exclude each other; keep one")
        ordered = sorted(self.season, key=lambda season: season.opens)
        for earlier, later in itertools.pairwise(ordered):
            if later.opens <= earlier.closes:
                raise ValueError(f"seasons {earlier.name} and {later.name} overlap; correct opens or closes")
        if self.bootstrap_days and not self.season:
            raise ValueError("bootstrap_days counts from a season's opener; add [[calendar.season]]")
        return self

    @property
    def is_queried(self) -> bool:
        """Whether the warehouse is queried for it, also for days by name alone."""
        return self.query is not None or any(days.query for days in self.days)
