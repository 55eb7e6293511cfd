"""Harder worlds: whatever a seed draws, and edits of the whole pipeline file, a calendar that changes,
other writers, and a state database that is restored from a copy.

All of it comes from random numbers of its own, so that a seed keeps the world that it draws without them.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from backfilld.state.pipeline.loading import PipelineError
from tests.factories import Table
from tests.simulation import generators, rerun_events
from tests.simulation.output_span_generator import with_output_spans
from tests.simulation.period_end_generator import with_period_ends
from tests.simulation.period_generator import with_periods
from tests.simulation.scenario import (
    AT_REST,
    OPENER,
    POINTS,
    SPARE,
    ExternalEvent,
    JobFault,
    PipelineFile,
    Scenario,
)
from tests.simulation.steering_events import steering_events

EXPECTATIONS: tuple[Table, ...] = (
    {},
    {"rows": [4, 6]},
    {"rows": [1, 3]},
    {"rows_per": {"games": [2, 3]}},
    {"rows_per": {"games": [2]}},
    {"rows_per": {"games": [3, 4]}},
)
EVENTS_WITHIN = 1500.0
"""Seconds from the start in which most things happen."""


def generate(seed: int) -> Scenario:
    """The harder world of a seed."""
    return _Draw(seed).scenario()


class _Draw:
    """Draws one world."""

    def __init__(self, seed: int) -> None:
        self._base = generators.generate(seed)
        self._rng = random.Random(f"harder {seed}")
        self._within = self._rng.choice((60.0, 300.0, EVENTS_WITHIN))
        self._span = list(self._base.games)

    def scenario(self) -> Scenario:
        games = dict(self._base.games)
        if self._rng.random() < 0.4:
            games |= {OPENER - dt.timedelta(days=n): self._rng.choice((0, 1, 2)) for n in (1, 2)}
        files = tuple(self._files())
        events = [*self._base.external_events, *self._restarts(len(files) - 1), *self._events()]
        files = with_periods(self._base.seed, files, self._is_valid)
        files = with_output_spans(self._base.seed, files, self._span, self._is_valid)
        files, rerun = rerun_events.drawn(self._base, files, self._span)
        events += rerun
        events += steering_events(self._base.seed, self._span, self._base.files[0].names)
        restores = not self._base.sets_clock and self._rng.random() < 0.2
        if restores:
            events += self._restore()
        if random.Random(f"sweeps {self._base.seed}").random() < 0.2:
            events += self._failed_sweep()
        lies = tuple(self._lies()) if random.Random(f"lies {self._base.seed}").random() < 0.2 else ()
        told = {(lie.processor, lie.date, lie.nth) for lie in lies}
        faults = [one for one in self._base.job_faults if (one.processor, one.date, one.nth) not in told]
        drawn = replace(
            self._base,
            files=files,
            job_faults=(*faults, *lies),
            games=dict(sorted(games.items())),
            external_events=tuple(sorted(events, key=lambda one: one.at)),
        )
        return with_period_ends(drawn)

    # The pipeline file

    def _files(self) -> Iterator[PipelineFile]:
        first, gained = self._base.files
        if random.Random(f"siblings {self._base.seed}").random() < 0.1:
            first, gained = _with_compared_siblings(first), _with_compared_siblings(gained)
        if self._rng.random() < 0.15:
            first = self._with_spare(first)
        yield first
        latest = first
        for number in range(self._rng.choice((0, 1, 1, 2, 3)) or int(self._base.is_edited)):
            for _ in range(self._rng.choice((1, 1, 2, 4))):
                changed = self._edit(latest, gained, number + 1)
                latest = changed if self._is_valid(changed) else latest
            yield latest

    def _is_valid(self, file: PipelineFile) -> bool:
        try:
            replace(self._base, files=(file,)).pipeline()
        except PipelineError:
            return False
        return True

    def _edit(self, file: PipelineFile, gained: PipelineFile, number: int) -> PipelineFile:
        edits: tuple[Callable[[], PipelineFile], ...] = (
            lambda: self._with_lookback(file),
            lambda: self._with_lookback(file),
            lambda: replace(file, opens=OPENER + dt.timedelta(days=self._rng.choice((-2, -1, 0, 1, 2)))),
            lambda: replace(file, bootstrap_days=self._rng.choice((0, 1, 2))),
            lambda: self._with_processor(file, expect=self._rng.choice(EXPECTATIONS)),
            lambda: self._with_table(file, number),
            lambda: replace(file, phases=gained.phases),
            lambda: self._with_settings(file),
            lambda: self._with_settings(file),
            lambda: self._with_spare(file),
            lambda: self._without_spare(file),
        )
        return self._rng.choice(edits)()

    def _with_lookback(self, file: PipelineFile) -> PipelineFile:
        lookback = self._rng.choice((0, 1, 2, 3, "season"))
        changed = [{**p, "lookback": lookback} if p["order"] == "sequential" else p for p in file.phases]
        return replace(file, phases=tuple(changed))

    def _with_processor(self, file: PipelineFile, **keys: Any) -> PipelineFile:
        chosen = self._name(file)
        return file.with_processors(lambda one: {**one, **keys} if one["name"] == chosen else one)

    def _with_table(self, file: PipelineFile, number: int) -> PipelineFile:
        chosen = self._name(file)
        table = {"table": f"nba.{chosen}_{number}"}
        return file.with_processors(lambda one: {**one, **table} if one["name"] == chosen else one)

    def _name(self, file: PipelineFile) -> str:
        return str(self._rng.choice(file.names))

    def _with_settings(self, file: PipelineFile) -> PipelineFile:
        section, key, values = self._rng.choice(
            (
                ("jobs", "confirm_after", ("0s", "30s", "60s")),
                ("jobs", "no_data_attempts", (1, 2, 3)),
                ("jobs", "no_data", ("try", "try", "trust")),
                ("jobs", "backoff", ("1s", "10s", "60s")),
                ("jobs", "max_attempts", (1, 2, 3)),
                ("jobs", "slots", (1, 2, 8)),
                ("engine", "max_evidence_age", ("10s", "60s", "2m")),
                ("engine", "revalidate_within", ("60s", "10m")),
            )
        )
        changed = {**file.settings[section], key: self._rng.choice(values)}
        return replace(file, settings={**file.settings, section: changed})

    def _with_spare(self, file: PipelineFile) -> PipelineFile:
        moved = self._rng.choice(file.names)
        changed = file.with_processors(
            lambda one: {**one, "executor": "dask"} if one["name"] == moved else one
        )
        return replace(changed, settings={**file.settings, "executor": SPARE})

    def _without_spare(self, file: PipelineFile) -> PipelineFile:
        changed = file.with_processors(lambda one: {k: v for k, v in one.items() if k != "executor"})
        return replace(changed, settings={k: v for k, v in file.settings.items() if k != "executor"})

    # What happens

    def _at(self, verb: str, *, point: str = "", within: float | None = None, **args: Any) -> ExternalEvent:
        at = self._rng.uniform(0, self._within if within is None else within)
        skip = 0 if point else self._rng.choice((0, 1, 2, 3, 5, 8, 13, 21))
        return ExternalEvent(at=round(at, 1), skip=skip, verb=verb, args=args, point=point)

    def _restarts(self, edits: int) -> Iterator[ExternalEvent]:
        for _ in range(edits):
            point, down = self._rng.choice((AT_REST, *POINTS)), self._rng.choice((0.0, 0.0, 5.0, 60.0))
            yield self._at("kill", point=point, for_seconds=down, edits=True)

    def _events(self) -> Iterator[ExternalEvent]:
        names = self._base.files[0].names
        for _ in range(self._rng.choice((0, 1, 2, 4, 8))):
            pair = {"processor": self._rng.choice(names), "date": self._rng.choice(self._span)}
            verb = self._rng.choice(("damage", "damage", "rewrite", "history", "forget_history"))
            args: dict[str, Any] = {}
            if verb == "damage":
                args["share"] = self._rng.choice((0, 0, 0.5, 1, 1, 1, 2))
            if verb == "history":
                args["succeeded"] = self._rng.random() < 0.6
            yield self._at(verb, **pair, **args)
        if self._rng.random() < 0.4:
            for _ in range(self._rng.choice((1, 1, 2))):
                yield self._at(
                    "calendar", date=self._rng.choice(self._span), games=self._rng.choice((0, 1, 2, 3))
                )
        for _ in range(self._rng.choice((0, 0, 1, 3))):
            yield self._at("sweep")

    def _lies(self) -> Iterator[JobFault]:
        """Jobs of one output end well and write nothing, one after another."""
        rng = random.Random(f"lying jobs {self._base.seed}")
        names = self._base.files[0].names
        name, date = rng.choice(names), rng.choice(self._span)
        for nth in range(rng.choice((1, 2, 3, 4))):
            yield JobFault(processor=name, date=date, nth=nth, kind="lies")

    def _failed_sweep(self) -> Iterator[ExternalEvent]:
        """A table cannot be asked while done dates are looked at again."""
        rng = random.Random(f"failed sweep {self._base.seed}")
        at = round(rng.uniform(1500.0, 5000.0), 1)
        names = self._base.files[0].names
        broken = {"processor": rng.choice(names), "for_seconds": 120.0}
        yield ExternalEvent(at=at, skip=0, verb="broken", args=broken, point=AT_REST)
        yield ExternalEvent(at=at + 1.0, skip=0, verb="sweep", point=AT_REST)

    def _restore(self) -> Iterator[ExternalEvent]:
        copied, restored = sorted(self._rng.uniform(0, self._within) for _ in range(2))
        yield ExternalEvent(at=round(copied, 1), skip=0, verb="copy_state", point=AT_REST)
        down = {"for_seconds": self._rng.choice((0.0, 60.0))}
        yield ExternalEvent(at=round(restored, 1), skip=0, verb="restore", args=down, point=AT_REST)


def _with_compared_siblings(file: PipelineFile) -> PipelineFile:
    """Where a processor runs after another one of its state, its rows are compared with that one's.

    What is compared with another output, or is compared with, stays as it is: the oracle follows no chains.
    """
    rules = {one["name"]: one.get("expect", {}) for one in file.processors}
    ratios = {name: of_one["ratio"]["of"] for name, of_one in rules.items() if "ratio" in of_one}

    def compared(one: Table) -> Table:
        of = (*one.get("after", ()), "")[0]
        if not of or of in ratios or one["name"] in (*ratios, *ratios.values()):
            return one
        ratios[one["name"]] = of
        return {**one, "expect": {"ratio": {"of": of, "min": 0.5}}}

    return file.with_processors(compared)
