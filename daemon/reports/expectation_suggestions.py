"""Rules proposed from complete dates, with their false alarms on held-back months and their blindness."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from backfilld.daemon.reports.blindness_to_simulated_damage import (
    CompleteDate,
    blindness_of,
    complete_dates,
    is_complete,
)
from backfilld.daemon.reports.current_verdicts import take_snapshot
from backfilld.daemon.warehouses.adapter import Warehouse
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.pipeline.processor import Processor
from backfilld.state.rules.evidence import EarlierDate
from backfilld.state.rules.expectation_suite import Expectation

FALSE_ALARMS = Fraction(1, 100)
"""The most held-back complete dates of which a proposed rule may say that they are not."""
MIN_DATES = 40
"""With fewer complete dates nothing is proposed."""
DAYS_BACK, MIN_DAYS = 28, 7
_BOUNDS = sorted(
    itertools.product((0.95, 0.9, 0.8, 0.7, 0.5), (1.05, 1.1, 1.25, 1.4, 2.0)),
    key=lambda bounds: bounds[1] / bounds[0],
)
"""Bounds of a proposed volume, from tight to loose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestion:
    """Rules for one processor; without any, `note` says why."""

    processor: str
    dates: int
    """Complete dates of the range."""
    held_back_dates: int
    """Those among them that no rule was learned from: the last third of the months."""
    rules: Sequence[str]
    """Lines of the pipeline file. A rule that is stated already is replaced."""
    false_alarms: float | None
    """The share of held-back dates that today's rules call complete and the proposed ones do not, 0 to 1."""
    blind_ratio: float | None
    """What today's rules do not see, 0 to 1."""
    suggested_blind_ratio: float | None
    """What they do not see with the proposed rules."""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestionReport:
    """Proposed rules for every processor."""

    start: dt.date
    end: dt.date
    processors: Sequence[Suggestion]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """A rule by its key, its values, and its line in the pipeline file."""

    key: str
    values: Mapping[str, object]

    @property
    def line(self) -> str:
        parts = ", ".join(f"{name} = {_toml(value)}" for name, value in self.values.items())
        return f"expect.{self.key} = {{ {parts} }}"

    def added_to(self, expect: Expectation) -> Expectation:
        """The expectation with this rule, in place of the one of the same key."""
        known = {key: getattr(expect, key) for key in type(expect).model_fields}
        rule = getattr(Expectation.model_validate({self.key: dict(self.values)}), self.key)
        return Expectation(**{**known, self.key: rule})


def suggest(
    pipeline: Pipeline, warehouse: Warehouse, start: dt.date, end: dt.date, *, now: float
) -> SuggestionReport:
    """Propose rules from the complete dates from `start` to `end`, both included.

    Raises:
        WarehouseError: the calendar, or the whole warehouse, could not be queried.
        ValueError: `start` is after `end`.
    """
    snapshot = take_snapshot(pipeline, warehouse, start, end, now=now, purpose="quality")
    found = [
        _suggest(pipeline, processor, list(complete_dates(processor, snapshot)))
        for processor in pipeline.processors.values()
    ]
    return SuggestionReport(start=start, end=end, processors=found)


def _suggest(pipeline: Pipeline, processor: Processor, complete: Sequence[CompleteDate]) -> Suggestion:
    dates = _with_earlier(complete)
    learned, held_back = _split(dates)
    today = blindness_of(pipeline, processor, processor.expect, dates).blind_ratio
    expect, rules, blind = processor.expect, dict[str, str](), today
    if len(dates) >= MIN_DATES and held_back and learned:
        for group in _candidates(learned):
            for candidate in group:
                tried = candidate.added_to(expect)
                if not all(_is_quiet(pipeline, processor, tried, part) for part in (learned, held_back)):
                    continue
                ratio = blindness_of(pipeline, processor, tried, dates).blind_ratio
                if ratio is not None and blind is not None and ratio < blind:
                    expect, blind, rules[candidate.key] = tried, ratio, candidate.line
                break
    return Suggestion(
        processor=processor.name,
        dates=len(dates),
        held_back_dates=len(held_back),
        rules=list(rules.values()),
        false_alarms=float(_alarms(pipeline, processor, expect, held_back)) if rules else None,
        blind_ratio=today,
        suggested_blind_ratio=blind if rules else None,
        note=_note(dates, held_back, rules),
    )


def _note(dates: Sequence[CompleteDate], held_back: Sequence[CompleteDate], rules: Mapping[str, str]) -> str:
    if len(dates) < MIN_DATES or not held_back:
        return f"history is too short: {len(dates)} complete dates, at least {MIN_DATES} in two months"
    return "" if rules else "no rule sees more with so few false alarms"


def _split(dates: Sequence[CompleteDate]) -> tuple[list[CompleteDate], list[CompleteDate]]:
    """The dates to learn from, and those of the last third of the months, which are held back."""
    months = sorted({(date.day.date.year, date.day.date.month) for date in dates})
    if len(months) < 2:
        return list(dates), []
    last = set(months[-max(len(months) // 3, 1) :])
    held_back = [date for date in dates if (date.day.date.year, date.day.date.month) in last]
    return [date for date in dates if date not in held_back], held_back


def _with_earlier(dates: Sequence[CompleteDate]) -> list[CompleteDate]:
    """The dates, each with those before it that a volume would compare it with."""
    known = [EarlierDate(date=one.day.date, rows=one.evidence.rows, counts=one.day.counts) for one in dates]
    return [
        replace(
            one, evidence=replace(one.evidence, earlier=tuple(known[max(number - DAYS_BACK, 0) : number]))
        )
        for number, one in enumerate(dates)
    ]


def _candidates(learned: Sequence[CompleteDate]) -> Iterator[list[_Candidate]]:
    """Rules by key, from tight to loose; the first one without too many false alarms is taken."""
    names = [name for name in learned[0].day.counts if all(one.day.counts.get(name) for one in learned)]
    if not names:
        rows = [one.evidence.rows for one in learned]
        yield [_volume({}, low, high) for low, high in _BOUNDS] if min(rows) else []
        return
    rates = {name: [Fraction(d.evidence.rows, d.day.counts[name]) for d in learned] for name in names}
    best = min(names, key=lambda name: max(rates[name]) / min(rates[name]))
    least, most = math.floor(min(rates[best])), math.ceil(max(rates[best]))
    # A minimum of 0 would accept a run that writes nothing.
    yield [_Candidate(key="rows_per", values={best: [least, most]})] if least else []
    yield [_volume({"per": best}, low, high) for low, high in _BOUNDS] + [
        _volume({}, low, high) for low, high in _BOUNDS
    ]


def _volume(per: Mapping[str, object], low: float, high: float) -> _Candidate:
    window = {"days_back": DAYS_BACK, "min_days": MIN_DAYS}
    return _Candidate(key="volume", values={**window, **per, "min": low, "max": high})


def _is_quiet(
    pipeline: Pipeline, processor: Processor, expect: Expectation, dates: Sequence[CompleteDate]
) -> bool:
    """Whether rules call at most 1 % of complete dates anything else."""
    left = math.floor(FALSE_ALARMS * len(dates))
    for one in dates:
        left -= not is_complete(pipeline, processor, expect, one.evidence, one.day)
        if left < 0:
            return False  # most rules that are too tight show it early
    return True


def _alarms(
    pipeline: Pipeline, processor: Processor, expect: Expectation, dates: Sequence[CompleteDate]
) -> Fraction:
    """The share of complete dates that rules do not call complete."""
    alarms = sum(not is_complete(pipeline, processor, expect, one.evidence, one.day) for one in dates)
    return Fraction(alarms, len(dates))


def _toml(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)
