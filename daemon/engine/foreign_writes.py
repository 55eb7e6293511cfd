"""Foreign writes: partitions that changed although no attempt on them was made in between.

Each stamp that is read is compared with the one before. The first one after an attempt is not compared, as
the attempt may have written it: it is that of the evidence on which the gate opens, where the warehouse does
not bill for stamps, and else that of the sweep. What was computed from a partition that changed becomes stale
(`stale_dates`). Those of done dates are reported.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator

from backfilld.daemon.event_types import ForeignWrites
from backfilld.daemon.warehouses.adapter import Answers, Purpose
from backfilld.state.formatting import format_utc
from backfilld.state.records import CheckRow
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.verdict import Verdict
from backfilld.state.store.checks import CheckResult


def with_stamp(result: CheckResult, check: CheckRow, evidence: Evidence, purpose: Purpose) -> CheckResult:
    """The result with what the write stamp shows. One beside rows that were not counted shows nothing."""
    counted = result.judgement.counts_rows
    return result._replace(
        reads_stamp=counted and (evidence.write_stamp is not None or must_read_stamp(check, purpose)),
        write_stamp=evidence.write_stamp,
        is_rewritten=check.follows_rewrite and result.judgement.verdict is Verdict.COMPLETE,
        foreign_write=counted and _is_written(check, evidence),
    )


def must_read_stamp(check: CheckRow, purpose: Purpose) -> bool:
    """Whether a query reads the write stamp also where it is billed: for reruns and the sweep.

    After a job that was cancelled, it shows whether that had written anything.
    """
    was_cut = check.follows_attempt and not check.last_attempt_counts and check.stamp_before is not None
    return purpose == "sweep" or check.awaits_rewrite or was_cut


def _is_written(check: CheckRow, evidence: Evidence) -> bool:
    """Whether the partition was written since its stamp was last read, and no attempt began since."""
    known = check.write_stamp is not None and evidence.write_stamp is not None
    return known and check.write_stamp != evidence.write_stamp


def events(
    saved: Iterable[tuple[CheckRow, CheckResult]], answers: Answers, done: Collection[dt.date]
) -> Iterator[ForeignWrites]:
    """One event for each processor with foreign writes of `done` dates, with the suspect of the oldest."""
    written: dict[str, list[dt.date]] = defaultdict(list)
    for _, result in saved:
        if result.foreign_write and result.date in done:
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
