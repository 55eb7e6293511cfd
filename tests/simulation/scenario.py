"""What one seed means: a pipeline, a calendar, a warehouse as it is found, requests, faults, bad jobs.

Everything that happens is written down beforehand, so that a story can be told without any part of it.
"""

from __future__ import annotations

import datetime as dt
import functools
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from tests.factories import Table, pipeline

SPARE: Table = {"dask": {"scheduler": "tcp://127.0.0.1:1"}}
"""An executor that an edit adds or removes."""
OPENER = dt.date(2021, 10, 19)
START = 1_760_000_000.0
"""When most stories begin, in epoch seconds."""
PACIFIC = "America/Los_Angeles"
LONG_DAY, SHORT_DAY = (
    dt.datetime.fromisoformat(f"{eve}T23:50").replace(tzinfo=ZoneInfo(PACIFIC)).timestamp()
    for eve in ("2025-11-01", "2026-03-07")
)
"""Ten minutes before midnight, from where on a day has 25 hours, or 23."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalEvent:
    """Something that comes from outside: a request, a fault, a kill.

    It comes at a point that is passed after `at` (seconds after the start), once `skip` of them were passed:
    at any, or where it names one, at that. When all is at rest for good, it comes then.
    """

    at: float
    skip: int
    verb: str
    args: Mapping[str, Any] = field(default_factory=dict)
    point: str = ""

    def __str__(self) -> str:
        told = ", ".join(f"{key}={value}" for key, value in self.args.items())
        return f"{self.verb}({told})"


AT_REST = "at rest"
MAX_REQUESTS = 2
"""How many requests are served at once, each within the query of another."""
QUERY_SENT, ANSWER_SENT = "a question is on its way", "an answer is on its way"
POINTS = (
    AT_REST,
    "before a transaction",
    "before commit",
    "after commit",
    "before launch",
    "handles recorded, before a job begins",
    "after launch",
    QUERY_SENT,
    ANSWER_SENT,
)
"""Where the daemon can be killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFault:
    """The `nth` job of a processor for a date goes wrong in one way."""

    processor: str
    date: dt.date
    nth: int
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InitialRows:
    """Rows that are there from the start, as a share of what is right: 0.5 half, 1 right, 2 twice."""

    processor: str
    date: dt.date
    share: float


JOB_FAULTS = (
    "fails",
    "lies",
    "fails after writing",
    "writes half",
    "writes twice",
    "hangs",
    "falls silent",
    "takes long",
    "writes late",
    "never closes its run",
    "closes its run late",
    "ignores SIGTERM",
    "cannot start",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineFile:
    """A pipeline file, as one edit leaves it."""

    phases: tuple[Table, ...]
    settings: Table
    bootstrap_days: int
    opens: dt.date = OPENER
    days: tuple[Table, ...] = ()
    """Its `[[calendar.days]]`."""

    @property
    def processors(self) -> list[Table]:
        """The tables of all processors, in order."""
        return [one for phase in self.phases for one in phase["processor"]]

    @property
    def names(self) -> list[str]:
        """The names of all processors, in order."""
        return [one["name"] for one in self.processors]

    def with_processors(self, change: Callable[[Table], Table]) -> PipelineFile:
        """The file with each processor as `change` returns it."""
        phases = [{**p, "processor": [change(one) for one in p["processor"]]} for p in self.phases]
        return replace(self, phases=tuple(phases))


@functools.lru_cache(maxsize=64)
def parsed(content: bytes) -> Pipeline:
    """A world starts its daemon several times with each of its files; they are parsed once."""
    phases, keys = pickle.loads(content)
    return pipeline(*phases, **keys)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One world."""

    seed: int
    start: float
    files: tuple[PipelineFile, ...]
    """The pipeline file as it is at first, and as each edit leaves it for the next start of the daemon."""
    games: Mapping[dt.date, int]
    """What the calendar counts; where it counts nothing, 1 on each date."""
    query_seconds: float
    """Seconds that the warehouse takes for an answer, half before and half after it looks at its tables."""
    initial_rows: tuple[InitialRows, ...]
    external_events: tuple[ExternalEvent, ...]
    job_faults: tuple[JobFault, ...]
    aftermath: tuple[ExternalEvent, ...]
    """What happens once all is done and nothing goes wrong any more; its times count from there."""
    counted: bool = True
    """Whether the calendar counts games; else every date of the season is expected."""

    @property
    def sets_clock(self) -> bool:
        """Whether somebody sets the clock."""
        return any(one.verb == "set_clock" for one in self.external_events)

    @property
    def is_edited(self) -> bool:
        """Whether somebody edits the pipeline file."""
        return any("edits" in one.args for one in self.external_events)

    @property
    def changes_calendar(self) -> bool:
        """Whether the calendar's counts change."""
        return any(one.verb == "calendar" for one in self.external_events)

    @property
    def edits_windows(self) -> bool:
        """Whether an edit moves the season's opener, changes a lookback, or the order of steps."""
        windows = {(f.opens, *(p.get("lookback") for p in f.phases)) for f in self.files}
        names = [[p["name"] for p in f.processors] for f in self.files]
        kept = set(names[0]).intersection(*names)
        orders = {tuple(name for name in of_file if name in kept) for of_file in names}
        return self.is_edited and (len(windows) > 1 or len(orders) > 1)

    def processors(self, version: int) -> dict[str, Processor]:
        """Those of the file after so many edits; others as they were last, or will be."""
        last = len(self.files) if self.is_edited else 1
        versions = [*range(last - 1, version, -1), *range(version + 1)]
        return {n: p for v in versions for n, p in self.pipeline(v).processors.items()}

    def pipeline(self, version: int = 0) -> Pipeline:
        """What the pipeline file says after so many edits. Raises PipelineError when it cannot be."""
        file = self.files[version]
        season = {"name": "2021-22", "opens": file.opens, "closes": max([file.opens, *self.games])}
        counts = {"file": "calendar.csv"} if self.counted else {}
        calendar = {
            **counts,
            "bootstrap_days": file.bootstrap_days,
            "season": [season],
            "days": list(file.days),
        }
        return parsed(pickle.dumps((file.phases, {"calendar": calendar, **file.settings})))
