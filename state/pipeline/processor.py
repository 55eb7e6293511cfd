"""A processor: what fills one output table, and the command of its jobs."""

from __future__ import annotations

import datetime as dt
import shlex
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Self

from pydantic import Field, field_validator, model_validator

from backfilld.state.pipeline.field_types import Column, Duration, Name, OutputTable, TimeZone
from backfilld.state.pipeline.job_settings import JobSettings
from backfilld.state.pipeline.need_settings import NeedSettings
from backfilld.state.pipeline.placeholders import PLACEHOLDER, fill, refuse_unknown
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.periods import MOST_DATES, Period

PLACEHOLDERS = ("date", "dates", "start", "end", "dates_file", "python")
BATCH_PLACEHOLDERS = ("dates", "start", "end", "dates_file")


def date_placeholders(dates: Sequence[dt.date]) -> dict[str, str]:
    """The values of the date placeholders. `dates` are in ascending order, at least one."""
    texts = [date.isoformat() for date in dates]
    return {"date": texts[0], "dates": ",".join(texts), "start": texts[0], "end": texts[-1]}


class Priority(StrEnum):
    """How much a processor matters: what happens to a date without its output."""

    CRITICAL = "critical"
    """The date fails without it, unless one of its `fallbacks` is complete."""
    IMPORTANT = "important"
    """A date passes without it where it has no data; with fewer `sources` also where it has some rows."""
    FALLBACK = "fallback"
    """The date passes without it once its attempts are used up, but not with more rows than allowed."""


class PeriodOutput(StrEnum):
    """On which of the expected dates of a period its output is."""

    EACH = "each"
    LAST = "last"


class Processor(JobSettings):
    """What fills one output table: a job and what is expected of its rows."""

    name: Name
    """Unique among processors and phases."""
    table: OutputTable
    """The output table, `dataset.table`; on BigQuery also `dataset.events_*`, with a table for each date. At
    most `writers` attempts write it at a time, over all dates."""
    command: tuple[str, ...] = Field(min_length=1, strict=False)
    """The program and its arguments, without a shell. See *Placeholders*."""
    source_command: tuple[str, ...] = Field(default=(), strict=False)
    """What loads its source. It is shown, and never run, where a date has no data."""
    date_column: Column = "date"
    """The table's column of dates: a DATE, or with `date_timezone` a TIMESTAMP or DATETIME. In a lake, also
    the name of its partitions."""
    date_timezone: TimeZone | None = None
    """The time zone whose days are the dates of a TIMESTAMP column. A DATETIME is local to it already."""
    history_names: tuple[str, ...] = Field(default=(), min_length=1, strict=False)
    """Its names in `[history]`, where they differ from `name`."""
    priority: Priority = Field(default=Priority.CRITICAL, strict=False)
    """`critical`, `important` or `fallback`: what happens to a date without its output."""
    fallbacks: tuple[str, ...] = Field(default=(), strict=False)
    """Processors of the same phase. One that is complete can replace this one where its output is missing."""
    after: tuple[str, ...] = Field(default=(), strict=False)
    """Processors of the same phase that must be satisfied before its job starts."""
    since: dt.date | None = None
    """The first date on which it has output; earlier ones are `not_expected`."""
    until: dt.date | None = None
    """The last date on which it has output; later ones are `not_expected`."""
    days: Name | None = None
    """The `[[calendar.days]]` on which it has output; other dates are `not_expected`."""
    needs: tuple[NeedSettings, ...] | None = Field(default=None, strict=False)
    """What its job reads of other dates. It replaces the phase's `lookback`; `[]`: nothing."""
    depends_on_past: bool = False
    """Whether each date needs all its own earlier ones: those of the season, or from `since` on."""
    writers: int = Field(default=1, ge=1, le=100)
    """The most attempts that write its table at the same time."""
    pool: Name | None = None
    """The `[[pool]]` of which each of its attempts takes one slot."""
    batch: int = Field(default=1, ge=1, le=1000)
    """The most dates that one attempt works on."""
    period: Period | None = None
    """`"week"` (Monday to Sunday) or `"month"`: one attempt works on all its expected dates that need a job,
    once each of them is ready. See *Batches and periods*."""
    period_output: PeriodOutput = Field(default=PeriodOutput.EACH, strict=False)
    """Which dates of a `period` have output: `"each"` expected one, or the `"last"` alone, for all of it."""
    estimate: Duration | None = None
    """The usual duration of one date, which the plan uses until attempts have shown it."""
    resources: Mapping[str, float | str] = Field(default_factory=dict)
    """What a job needs of its executor, such as `{ GPU = 1 }` on Dask; each kind has its own keys."""
    cloud_run_job: str | None = Field(default=None, pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")
    """The Cloud Run job that `executor = "cloud-run"` executes; without it, the name with - for _."""
    requires: tuple[str, ...] = Field(default=(), strict=False)
    """Options that must be set to True in the script's source, such as skip_downstream_trigger."""
    final_after: Duration | None = None
    """The age from which the output of a date is final; until then it is complete and provisional."""
    refresh: tuple[Duration, ...] = Field(default=(), strict=False)
    """The ages at which a provisional output is computed once more; at most `final_after`."""
    expect: Expectation = Expectation()
    """What its rows must look like. Without any rule, one row is enough."""

    @classmethod
    def misplaced_keys(cls) -> Mapping[str, str]:
        """The keys of its phase."""
        return {
            "lookback": "move it to [[phase]], or state `needs` for this processor alone",
            "order": "move it to [[phase]]",
            "skip_bootstrap": "move it to [[phase]], or state `since`",
        }

    @field_validator("command", "source_command")
    @classmethod
    def _known_placeholders(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        refuse_unknown(command, PLACEHOLDERS)
        return command

    @model_validator(mode="after")
    def _batch_fits(self) -> Self:
        used = set(self.placeholders)
        if self.batch > 1 and not used & set(BATCH_PLACEHOLDERS):
            raise ValueError("batch above 1 needs {dates}, {start} and {end}, or {dates_file} in command")
        if self.batch > 1 and "date" in used:
            raise ValueError("{date} is one date and batch is above 1; use {start} and {end}, or {dates}")
        return self

    @model_validator(mode="after")
    def _period_fits(self) -> Self:
        if self.period is None and self.period_output is PeriodOutput.LAST:
            raise ValueError('period_output = "last" is for the last date of a period; add period')
        if self.period is None:
            return self
        if self.batch > 1:
            raise ValueError(f"period = {self.period!r} takes all dates of the {self.period}; remove batch")
        if "date" in self.placeholders or not set(self.placeholders) & set(BATCH_PLACEHOLDERS):
            raise ValueError(
                f"period = {self.period!r} gives the command many dates; use {{start}} and {{end}}, {{dates}}"
                " or {dates_file} in place of {date}"
            )
        return self

    @model_validator(mode="after")
    def _since_before_until(self) -> Self:
        if self.since and self.until and self.since > self.until:
            raise ValueError(f"since {self.since} is after until {self.until}; correct one of them")
        return self

    @model_validator(mode="after")
    def _refreshed_until_final(self) -> Self:
        if self.refresh and self.final_after is None:
            raise ValueError("refresh is for provisional outputs; add final_after")
        if any(age > (self.final_after or 0.0) for age in self.refresh):
            raise ValueError("refresh has an age above final_after; remove it, or raise final_after")
        return self

    @property
    def dates_per_attempt(self) -> int:
        """The most dates that one attempt works on."""
        return MOST_DATES[self.attempt_period] if self.attempt_period else self.batch

    @property
    def attempt_period(self) -> Period | None:
        """The period of which one attempt works on each expected date; None: it works on up to `batch`."""
        return self.period if self.period_output is PeriodOutput.EACH else None

    @property
    def output_period(self) -> Period | None:
        """The period whose last date alone has output, for all of it; None where every date has its own."""
        return self.period if self.period_output is PeriodOutput.LAST else None

    @property
    def predecessors(self) -> tuple[str, ...]:
        """The processors that run before it on the same date, where they are of its phase."""
        return (*self.after, *(need.of for need in self.needs or () if need.of))

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The names in braces that the command uses."""
        return tuple(PLACEHOLDER.findall(" ".join(self.command)))

    def argv(self, words: Mapping[str, str]) -> tuple[str, ...]:
        """The command with its placeholders replaced by `words`; no shell ever parses it."""
        return fill(self.command, words)

    def source_hint(self, date: dt.date) -> str:
        """The command that loads the source of a date, as words for a sentence; empty without one."""
        words = fill(self.source_command, date_placeholders([date]))
        return f"; load its source: {shlex.join(words)}" if words else ""

    @property
    def in_cloud_run(self) -> str:
        """The name of its Cloud Run job."""
        return self.cloud_run_job or self.name.replace("_", "-")

    @property
    def names_in_history(self) -> tuple[str, ...]:
        """Its names in the platform's history."""
        return self.history_names or (self.name,)
