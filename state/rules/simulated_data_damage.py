"""Damages that can befall a date's rows, as changes of its figures: to count what rules would not see. Pure.

A damage is known by its figures alone, so it costs no query. Where a figure was not counted no rule sees it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectation_suite import Expectation
from backfilld.state.rules.expectations.aggregate_types import GroupCounts, KeyCounts
from backfilld.state.rules.season_calendar import Day

_Scale = Callable[[int], int]

_IS_ADDITIVE = re.compile(r"\s*(SUM|COUNT)\s*\((?!\s*DISTINCT\b)", re.IGNORECASE)
"""Measures that are proportional to the rows."""

LOSSES = (5, 10, 20, 30, 50)
"""The shares of rows that are lost, in percent."""

DAMAGES: Mapping[str, str] = {
    "unit_lost": "one of the calendar's units is missing, such as one game of ten",
    **{f"rows_lost_{share}": f"{share} % of the rows are missing, of all groups alike" for share in LOSSES},
    "rows_doubled": "every row is there twice",
    "unit_doubled": "the rows of one unit are there twice",
    "key_doubled": "one row is there twice and another is missing",
    "column_emptied": "a column is NULL in every row",
}
"""The catalogue: what each damage does."""


def damaged(evidence: Evidence, day: Day, expect: Expectation) -> Iterator[tuple[str, Evidence]]:
    """The figures of a date after each damage that can befall it, by the damage's name."""
    units = _units(evidence, day)
    if units > 1:
        yield "unit_lost", _unit_lost(evidence, units)
        yield "unit_doubled", _more(evidence, evidence.rows // units, expect, each=False)
    for share in LOSSES:
        lost = max(1, round(evidence.rows * share / 100))
        if lost < evidence.rows:
            yield f"rows_lost_{share}", _fewer(evidence, lost, expect)
    yield "rows_doubled", _more(evidence, evidence.rows, expect, each=True)
    if evidence.rows > 1:
        yield "key_doubled", _key_doubled(evidence, expect)
    yield from (("column_emptied", found) for found in _emptied(evidence, expect))


def _units(evidence: Evidence, day: Day) -> int:
    """How many units the rows are of: the largest count of the calendar, else the groups."""
    counts = max(day.counts.values(), default=0)
    return min(counts or (evidence.groups.groups if evidence.groups else 0), evidence.rows)


def _unit_lost(evidence: Evidence, units: int) -> Evidence:
    def left(figure: int) -> int:
        return figure - max(figure // units, 1) if figure else 0

    groups = evidence.groups
    return replace(
        evidence,
        rows=left(evidence.rows),
        distinct={column: left(count) for column, count in evidence.distinct.items()},
        distinct_keys=_if_known(evidence.distinct_keys, left),
        passing_rows=_if_known(evidence.passing_rows, left),
        empty_counts={column: count - count // units for column, count in evidence.empty_counts.items()},
        groups=replace(groups, groups=left(groups.groups)) if groups else None,
        keys=_keys_left(evidence.keys, left),
        measures=_scaled_measures(evidence, 1 - 1 / units),
    )


def _fewer(evidence: Evidence, lost: int, expect: Expectation) -> Evidence:
    """The same with fewer rows, of every group alike: no value vanishes as long as there are rows for it."""
    rows = evidence.rows - lost

    def scaled(figure: int) -> int:
        return figure * rows // evidence.rows

    return replace(
        evidence,
        rows=rows,
        distinct={column: min(count, rows) for column, count in evidence.distinct.items()},
        keys=_keys_left(evidence.keys, lambda keys: min(keys, rows)),
        measures=_scaled_measures(evidence, rows / evidence.rows),
        distinct_keys=_if_known(evidence.distinct_keys, scaled),
        passing_rows=_if_known(evidence.passing_rows, scaled),
        empty_counts={column: scaled(count) for column, count in evidence.empty_counts.items()},
        groups=_resized(evidence.groups, expect, scaled),
    )


def _more(evidence: Evidence, more: int, expect: Expectation, *, each: bool) -> Evidence:
    """The same with rows that are there already: of `each` group, or of one."""
    rows = evidence.rows + more

    def scaled(figure: int) -> int:
        return figure * rows // evidence.rows

    groups = _resized(evidence.groups, expect, scaled) if each else _one_doubled(evidence.groups, expect)
    return replace(
        evidence,
        rows=rows,
        passing_rows=_if_known(evidence.passing_rows, scaled),
        empty_counts={column: scaled(count) for column, count in evidence.empty_counts.items()},
        groups=groups,
        measures=_scaled_measures(evidence, rows / evidence.rows),
    )


def _key_doubled(evidence: Evidence, expect: Expectation) -> Evidence:
    """A column with another value in every row has one value less."""
    groups = evidence.groups
    if groups and groups.groups > 1:
        groups = _bounded(
            replace(groups, smallest=groups.smallest - 1, largest=groups.largest + 1), expect, 1
        )
    return replace(
        evidence,
        distinct={
            column: count - 1 if count == evidence.rows else count
            for column, count in evidence.distinct.items()
        },
        distinct_keys=_if_known(evidence.distinct_keys, lambda keys: keys - 1),
        keys=_keys_left(evidence.keys, lambda keys: keys - 1 if keys == evidence.rows else keys),
        groups=groups,
    )


def _emptied(evidence: Evidence, expect: Expectation) -> Iterator[Evidence]:
    """The figures after each column that a rule names is emptied; as they are where no rule names one."""
    named = dict.fromkeys(column for rule in expect.rules.values() for column in rule.column_names())
    if not named:
        yield evidence
    for column in named:
        yield replace(
            evidence,
            distinct={name: 0 if name == column else n for name, n in evidence.distinct.items()},
            empty_counts={
                name: evidence.rows if name == column else n for name, n in evidence.empty_counts.items()
            },
            distinct_keys=1
            if expect.unique and expect.unique.columns == (column,)
            else evidence.distinct_keys,
            keys=_without_values(evidence.keys)
            if expect.keys and column in expect.keys.columns
            else evidence.keys,
        )


def _scaled_measures(evidence: Evidence, share: float) -> Mapping[str, float | None]:
    """The measures after rows were lost or doubled: sums and counts change with them, others stay."""
    return {
        of: value * share if value is not None and _IS_ADDITIVE.match(of) else value
        for of, value in evidence.measures.items()
    }


def _keys_left(keys: KeyCounts | None, left: _Scale) -> KeyCounts | None:
    """The keys after rows were lost; each row has a key of the other table."""
    if keys is None:
        return None
    present = keys.expected - keys.missing
    return replace(keys, missing=keys.missing + present - left(present))


def _without_values(keys: KeyCounts | None) -> KeyCounts | None:
    """The keys after a column of them was emptied: no row has a key of the other table."""
    return replace(keys, missing=keys.expected, extra=1) if keys else None


def _resized(groups: GroupCounts | None, expect: Expectation, scaled: _Scale) -> GroupCounts | None:
    """Groups that have all grown or shrunk alike."""
    if groups is None:
        return None
    resized = replace(groups, smallest=scaled(groups.smallest), largest=scaled(groups.largest))
    return _bounded(resized, expect, groups.groups)


def _one_doubled(groups: GroupCounts | None, expect: Expectation) -> GroupCounts | None:
    return _bounded(replace(groups, largest=2 * groups.largest), expect, 1) if groups else None


def _bounded(groups: GroupCounts, expect: Expectation, changed: int) -> GroupCounts:
    """The groups with those counted that are out of bounds now."""
    if expect.rows_each is None:
        return groups
    least, most = expect.rows_each.rows
    small = changed if groups.smallest < least else groups.too_small
    large = changed if most is not None and groups.largest > most else groups.too_large
    return replace(groups, too_small=small, too_large=large)


def _if_known(figure: int | None, change: _Scale) -> int | None:
    return None if figure is None else change(figure)
