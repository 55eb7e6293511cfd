"""How a date's state and outcome look: one kind for each, with its colour's name, its words and its mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backfilld.api.serializers import TAKEN_OVER
from backfilld.state.pipeline.phase import DONE, FAILED, PENDING
from backfilld.state.rules.machine import FINAL, Outcome

SHADES = 6
"""Live states share one hue, darker the further they are; there are so many steps of it."""


@dataclass(frozen=True, slots=True)
class DateStyle:
    """One look. `colour` is the name of a CSS class; `glyph` a path drawn into a cell of 10 by 10."""

    colour: str
    words: str
    glyph: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of a bar: so many dates of a kind, from `x` percent of it on, `width` percent wide."""

    kind: DateStyle
    n: int
    x: float
    width: float


_ENDED: Mapping[Outcome, DateStyle] = {
    Outcome.COMPLETE: DateStyle("complete", "complete"),
    Outcome.BOOTSTRAP: DateStyle("bootstrap", "bootstrap", "m4.5 4.5h0"),
    Outcome.WAIVED: DateStyle("accepted", "gap accepted", "m2.8 4.7l1.3 1.3l2.2-2.7"),
    Outcome.NOT_EXPECTED: DateStyle("not-expected", "not expected"),
    Outcome.EXHAUSTED: DateStyle("exhausted", "failed: attempts used up", "m3 3l3 3m0-3l-3 3"),
    Outcome.BLOCKED: DateStyle("blocked", "failed: blocked by a source", "m2.8 4.5h3.4"),
    Outcome.CANCELLED: DateStyle("cancelled", "cancelled", "m3 6l3-3"),
}
_PENDING = DateStyle("pending", "pending")
_TAKEN_OVER = DateStyle("gone", "taken over by a later backfill")
_FAILED = (Outcome.EXHAUSTED, Outcome.BLOCKED, Outcome.CANCELLED)


class DateStyles:
    """The kinds of one pipeline's states, in the order in which bars and legends show them."""

    def __init__(self, states: Sequence[str]) -> None:
        live = [state for state in states if state not in FINAL and state != PENDING]
        self._live = {
            state: DateStyle(f"live-{1 + number * SHADES // len(live)}", state)
            for number, state in enumerate(live)
        }
        self.live = [PENDING, *live]
        done = [kind for outcome, kind in _ENDED.items() if outcome not in _FAILED]
        failed = [_ENDED[outcome] for outcome in _FAILED]
        self.all = [*done, *reversed(self._live.values()), _PENDING, *failed, _TAKEN_OVER]

    def of(self, state: str, outcome: str | None) -> DateStyle:
        """How a date looks; an unknown state, from a pipeline file that has changed, looks pending."""
        if outcome:
            return _ENDED[Outcome(outcome)]
        if state == TAKEN_OVER:
            return _TAKEN_OVER
        return self._live.get(state, _PENDING)

    def ordered(self, states: Mapping[str, int]) -> dict[str, int]:
        """Counts of states in the order in which a date goes through them."""
        place = {state: number for number, state in enumerate((*self.live, DONE, FAILED, TAKEN_OVER))}
        return {state: states[state] for state in sorted(states, key=lambda one: place.get(one, len(place)))}

    def bar(self, states: Mapping[str, int], outcomes: Mapping[str, int]) -> list[Segment]:
        """A bar of all dates: those that ended by their outcome, the others by their state."""
        counts: dict[DateStyle, int] = {}
        for outcome, n in outcomes.items():
            counts[self.of("", outcome)] = n
        for state, n in states.items():
            if state not in FINAL:
                kind = self.of(state, None)
                counts[kind] = counts.get(kind, 0) + n
        total = sum(counts.values())
        segments: list[Segment] = []
        x = 0.0
        for kind in self.all:
            if n := counts.get(kind, 0):
                segments.append(Segment(kind, n, round(x, 3), round(100 * n / total, 3)))
                x += 100 * n / total
        return segments
