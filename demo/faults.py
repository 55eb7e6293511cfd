"""Three faults of the real platform that the demo shows being caught: jobs that exit 0 without their rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from backfilld.demo import misbehaviour_switches

START, END = date(2021, 10, 15), date(2021, 10, 28)
OUTCOMES: Mapping[str, int] = {"not_expected": 4, "bootstrap": 7, "complete": 2, "waived": 1}
"""The outcomes of the dates from START to END, once the faults are resolved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A job that misbehaves on one date, and the verdicts that its attempts must get."""

    processor: str
    date: date
    kind: str
    """A kind of `misbehaviour`."""
    times: int | None
    """How many runs misbehave; None: all."""
    verdicts: tuple[str, ...]

    def switch_on(self, lake: Path) -> None:
        """Let the job misbehave from its next run on."""
        misbehaviour_switches.switch(lake, self.processor, self.date, self.kind, self.times)


PARTIAL = Fault(
    processor="nbac_team_boxscore",
    date=date(2021, 10, 23),
    kind="partial",
    times=1,
    verdicts=("partial", "complete"),
)
"""2 of 16 teams are written: the date has 8 games."""
NO_DATA = Fault(
    processor="bettingpros_player_points_props",
    date=date(2021, 10, 27),
    kind="nothing",
    times=None,
    verdicts=("no_data", "no_data"),
)
"""A source that has nothing for a date, whose output is critical in this demo."""
UNTOUCHED = Fault(
    processor="team_offense_game_summary",
    date=END,
    kind="unchanged",
    times=1,
    verdicts=("complete", "untouched", "complete"),
)
"""A rerun that leaves the old rows. It is switched on after the first run."""


def require_props(pipeline: str) -> str:
    """The pipeline file with the source of `NO_DATA` critical, so that its date needs an operator."""
    return pipeline.replace('priority = "important"', 'priority = "critical"')
