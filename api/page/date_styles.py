"""Styles of dates: the colour, label and glyph of each state and outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backfilld.state.pipeline.phase import DONE, FAILED, PENDING
from backfilld.state.rules.date_outcomes import Outcome
from backfilld.state.rules.state_machine import FINAL

SHADES = 6
"""Number of shades of the one hue for live states; later states are darker."""


@dataclass(frozen=True, slots=True)
class DateStyle:
    """A style. `colour` is a CSS class name, `glyph` an SVG path in a cell of 10 by 10."""

    colour: str
    label: str
    glyph: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: `n` dates of one style, starting at `x` percent, `width` percent wide."""

    style: DateStyle
    n: int
    x: float
    width: float


_ENDED: Mapping[Outcome, DateStyle] = {
    Outcome.COMPLETE: DateStyle("complete", "complete"),
    Outcome.BOOTSTRAP: DateStyle("bootstrap", "bootstrap", "m4.5 4.5h0"),
    Outcome.WAIVED: DateStyle("waived", "waived", "m2.8 4.7l1.3 1.3l2.2-2.7"),
    Outcome.SELECTED: DateStyle("selected", "done as far as selected", "m3 4.5h3m-1.5-1.5v3"),
    Outcome.NOT_EXPECTED: DateStyle("not-expected", "not expected"),
    Outcome.EXHAUSTED: DateStyle("exhausted", "failed: attempts used up", "m3 3l3 3m0-3l-3 3"),
    Outcome.BLOCKED: DateStyle("blocked", "failed: blocked by a source", "m2.8 4.5h3.4"),
    Outcome.CANCELLED: DateStyle("cancelled", "cancelled", "m3 6l3-3"),
}
_PENDING = DateStyle("pending", "pending")
_FAILED = (Outcome.EXHAUSTED, Outcome.BLOCKED, Outcome.CANCELLED)


class DateStyles:
    """The styles of the states of one pipeline, in the order of bars and legends."""

    def __init__(self, states: Sequence[str]) -> None:
        live = [state for state in states if state not in FINAL and state != PENDING]
        self._live = {
            state: DateStyle(f"live-{1 + number * SHADES // len(live)}", state)
            for number, state in enumerate(live)
        }
        self.live = [PENDING, *live]
        done = [style for outcome, style in _ENDED.items() if outcome not in _FAILED]
        failed = [_ENDED[outcome] for outcome in _FAILED]
        self.all = [*done, *reversed(self._live.values()), _PENDING, *failed]

    def for_state(self, state: str, outcome: str | None) -> DateStyle:
        """The style of a date. A state that the pipeline file no longer has gets the style of `pending`."""
        if outcome:
            return _ENDED[Outcome(outcome)]
        return self._live.get(state, _PENDING)

    def ordered(self, states: Mapping[str, int]) -> dict[str, int]:
        """Counts by state, in the order in which a date passes through the states."""
        place = {state: number for number, state in enumerate((*self.live, DONE, FAILED))}
        return {
            state: states[state] for state in sorted(states, key=lambda state: place.get(state, len(place)))
        }

    def bar(self, states: Mapping[str, int], outcomes: Mapping[str, int]) -> list[Segment]:
        """The segments of a bar: ended dates by outcome, live dates by state."""
        counts: dict[DateStyle, int] = {}
        for outcome, n in outcomes.items():
            counts[self.for_state("", outcome)] = n
        for state, n in states.items():
            if state not in FINAL:
                style = self.for_state(state, None)
                counts[style] = counts.get(style, 0) + n
        total = sum(counts.values())
        segments: list[Segment] = []
        x = 0.0
        for style in self.all:
            if n := counts.get(style, 0):
                segments.append(Segment(style, n, round(x, 3), round(100 * n / total, 3)))
                x += 100 * n / total
        return segments
