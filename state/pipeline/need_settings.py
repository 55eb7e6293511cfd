"""What a processor needs of other dates, as the pipeline file states it."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.season_calendar import Lookback, Since


class NeedSettings(StrictModel):
    """Another processor's dates, or the processor's own earlier ones, in a window before each date."""

    of: str | None = None
    """A processor of an earlier phase, or of the same one: its date, and those of the window."""
    itself: bool = Field(default=False, alias="self")
    """Whether it needs its own earlier dates: those of the window, or all as with `depends_on_past`."""
    days_back: int | None = Field(default=None, ge=0, le=36_500)
    """The window's number of days before the date."""
    since: Since | None = None
    """The window's first date: the `season`'s, the `month`'s, or the Monday of the `week`."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if bool(self.of) is self.itself:
            raise ValueError("needs one of `of`, a processor's name, and `self = true`; write one of them")
        if self.days_back is not None and self.since is not None:
            raise ValueError("days_back and since exclude each other; keep one")
        if self.itself and self.days_back == 0:
            raise ValueError("a date does not need itself; write days_back = 1 or more")
        return self

    @property
    def lookback(self) -> Lookback | None:
        """The window as stated; None without one."""
        return self.since if self.since is not None else self.days_back
