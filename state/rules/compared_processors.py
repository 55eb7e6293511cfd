"""Which processors are compared with which, by a ratio or by keys, and when that must be judged again. Pure.

A comparison says nothing while the verdict of its reference is not satisfied. So a reference is judged before
what is compared with it, and when its verdict changes, what is compared with it is queried again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping

from backfilld.state.formatting import pluralize
from backfilld.state.pipeline.pipeline import Pipeline
from backfilld.state.records import CheckRow
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.judge import Judgement, Reference
from backfilld.state.rules.needs_graph import Pair
from backfilld.state.rules.verdict import Verdict

Stored = Mapping[dt.date, Mapping[str, CheckRow]]
"""Stored checks by date and processor."""


def stored_reference(check: CheckRow | None, evidence: Evidence) -> Reference:
    """A reference by its stored check; `evidence` has the row count that it has now."""
    if check is None or check.asked_at is None:
        return Reference(verdict=Verdict.UNKNOWN, reason="it was not checked yet")
    if _rests_on_other_rows(check, evidence):
        rows = pluralize(check.rows or 0, "row")
        reason = f"it had {rows} when it was checked, and has {evidence.reference} now"
        return Reference(verdict=Verdict.UNKNOWN, reason=reason)
    return Reference(verdict=check.verdict, reason=check.reason, waiver=_waiver(check))


def new_reference(judgement: Judgement, check: CheckRow | None) -> Reference:
    """A reference that was judged by the same answer; its stored check has the waiver."""
    waiver = _waiver(check) if check else ""
    return Reference(verdict=judgement.verdict, reason=judgement.reason, waiver=waiver)


def with_references(pipeline: Pipeline, names: Iterable[str]) -> list[str]:
    """The processors and all that they are compared with, directly or through another."""
    wanted = set(names)
    for name in reversed(pipeline.judging_order):
        if name in wanted and name in pipeline.references:
            wanted.add(pipeline.references[name])
    return [name for name in pipeline.judging_order if name in wanted]


def compared_with(pipeline: Pipeline, reference: str) -> Iterator[str]:
    """The processors with a rule that refers to `reference`: its verdict changes theirs."""
    return (name for name, of in pipeline.references.items() if of == reference)


def waiting_pairs(pipeline: Pipeline, judged: Collection[Pair]) -> Iterator[Pair]:
    """The pairs compared with one that was just judged, and not judged by the same answer."""
    for date, reference in judged:
        for name in compared_with(pipeline, reference):
            if (date, name) not in judged:
                yield date, name


def outdated(
    pipeline: Pipeline,
    queried: Collection[Pair],
    stored: Stored,
    answers: Mapping[tuple[str, dt.date], Evidence],
) -> list[Pair]:
    """The complete references, not queried now, whose row count has changed since they were judged."""
    pairs: list[Pair] = []
    for date, name in queried:
        reference = pipeline.references.get(name)
        check = stored.get(date, {}).get(reference) if reference else None
        evidence = answers.get((name, date))
        if check is None or evidence is None or (date, check.processor) in queried:
            continue
        if check.attempt_id is None and not evidence.error and _rests_on_other_rows(check, evidence):
            pairs.append((date, check.processor))
    return pairs


def _rests_on_other_rows(check: CheckRow, evidence: Evidence) -> bool:
    return check.verdict is Verdict.COMPLETE and check.rows != evidence.reference


def _waiver(check: CheckRow) -> str:
    """Why an incomplete output passes; empty without a waiver."""
    accepted = f"accepted by {check.accepted_by}: {check.accepted_reason}" if check.accepted_reason else ""
    return accepted or check.waiver_reason
