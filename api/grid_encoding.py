"""The grid of dates and processors as letters, one per date: few bytes for thousands of dates. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence

from backfilld.api.schemas.grid import GridRow
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.grid import GridCell

LETTERS: Mapping[Verdict, str] = {
    Verdict.COMPLETE: "c",
    Verdict.NOT_EXPECTED: "n",
    Verdict.PARTIAL: "p",
    Verdict.EXCESS: "x",
    Verdict.DEGRADED: "d",
    Verdict.UNTOUCHED: "t",
    Verdict.NEVER_RAN: "o",
    Verdict.NO_DATA: "e",
    Verdict.FAILED: "f",
    Verdict.RUNNING: "r",
    Verdict.UNKNOWN: "u",
}
"""The letter of each verdict; a capital where a waiver lets the date pass."""
ATTEMPT, NOT_CHECKED, NO_CHECK = "*", "-", "."
LEGEND: Mapping[str, str] = {
    **{letter: verdict.value for verdict, letter in LETTERS.items()},
    ATTEMPT: "attempt_running",
    NOT_CHECKED: "not_checked",
    NO_CHECK: "never_enqueued",
}
WITHOUT_VERDICT: Mapping[str, str] = {
    "attempt_running": "An attempt of the processor is running for the date.",
    "not_checked": "The warehouse has not been queried about it yet.",
    "never_enqueued": "The date, or the processor on it, has never been requested.",
}
"""Words of the legend that are no verdicts."""


def letter(cell: GridCell) -> str:
    """The letter of one cell."""
    if cell.attempt_id is not None:
        return ATTEMPT
    verdict = Verdict(cell.verdict)
    if cell.satisfied and not verdict.satisfied:
        return LETTERS[verdict].upper()
    return LETTERS[verdict] if cell.asked_at is not None else NOT_CHECKED


def rows(
    cells: Iterable[GridCell], phases: Mapping[str, Sequence[str]], start: dt.date, end: dt.date
) -> list[GridRow]:
    """A row per processor of each phase, with a letter per date from `start` to `end`."""
    days = (end - start).days + 1
    names = {name for group in phases.values() for name in group}
    letters = {name: [NO_CHECK] * days for name in names}
    for cell in cells:
        if cell.processor in letters:
            letters[cell.processor][(cell.date - start).days] = letter(cell)
    return [
        GridRow(phase=phase, processor=name, cells="".join(letters[name]))
        for phase, group in phases.items()
        for name in group
    ]
