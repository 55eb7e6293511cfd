"""Foreign writes: partitions of done dates that changed although no attempt of this daemon wrote them.

The sweep compares each partition's write stamp with the one that it read before. The first stamp after an
attempt is not compared, because the attempt may have written it. What was computed from a partition that
changed becomes stale (`stale_dates`).
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Iterator

from backfilld.daemon.events import ForeignWrites
from backfilld.daemon.warehouses.adapter import Answers, Purpose
from backfilld.state.formatting import format_utc
from backfilld.state.records import CheckRow
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.checks import CheckResult


def with_stamp(result: CheckResult, check: CheckRow, evidence: Evidence, purpose: Purpose) -> CheckResult:
    """The result with what the write stamp shows."""
    return result._replace(
        reads_stamp=reads_stamp(check, purpose),
        write_stamp=evidence.write_stamp,
        is_rewritten=check.follows_rewrite and result.judgement.verdict is Verdict.COMPLETE,
        foreign_write=purpose == "sweep" and is_foreign_write(check, evidence),
    )


def reads_stamp(check: CheckRow, purpose: Purpose) -> bool:
    """Whether a query reads the write stamp: it costs queries, and only reruns and the sweep compare it."""
    return purpose == "sweep" or check.awaits_rewrite


def is_foreign_write(check: CheckRow, evidence: Evidence) -> bool:
    """Whether the partition of a done date was written since its stamp was last read."""
    known = check.write_stamp is not None and evidence.write_stamp is not None
    return known and check.write_stamp != evidence.write_stamp


def events(saved: Iterable[tuple[CheckRow, CheckResult]], answers: Answers) -> Iterator[ForeignWrites]:
    """One event for each processor with foreign writes, with the suspect of the oldest date."""
    written: dict[str, list[dt.date]] = defaultdict(list)
    for _, result in saved:
        if result.foreign_write:
            written[result.processor].append(result.date)
    for processor, dates in written.items():
        first = min(dates)
        suspect = _suspect(answers[processor, first])
        yield ForeignWrites(processor=processor, dates=tuple(sorted(dates)), suspect=suspect)


def _suspect(evidence: Evidence) -> str:
    """The run of the history that may have written: the open one, else the latest that ended."""
    if evidence.open:
        return f"a run is open that started at {format_utc(evidence.open.started_at)}"
    if evidence.closed:
        return f"the latest run in the history started at {format_utc(evidence.closed.started_at)}"
    return "the history has no run"
