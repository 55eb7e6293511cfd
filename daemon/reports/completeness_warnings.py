"""The warnings of a validation: what contradicts its verdicts."""

from __future__ import annotations

from collections.abc import Iterator

from backfilld.daemon.reports.current_verdicts import Snapshot
from backfilld.daemon.reports.remedies import retry_command
from backfilld.state.formatting import format_date_ranges, pluralize


def warnings(snapshot: Snapshot) -> Iterator[str]:
    """One sentence for counts outside of all seasons, for unexpected rows and for failed reruns."""
    if outside := snapshot.counts_outside_seasons():
        yield (
            f"{pluralize(len(outside), 'date has', 'dates have')} counts in the calendar outside of all"
            f" seasons: {format_date_ranges(outside)}; correct calendar.season"
        )
    for name, rows in snapshot.unexpected_rows.items():
        yield (
            f"unexpected rows: {name} has {pluralize(sum(rows.values()), 'row')} on"
            f" {format_date_ranges(rows)}, which the calendar does not expect"
        )
    for name, reasons in snapshot.failed_reruns.items():
        first, reason = next(iter(reasons.items()))
        several = f"first {first}: " if len(reasons) > 1 else ""
        yield (
            f"failed reruns: {name} on {format_date_ranges(reasons)}: {several}{' '.join(reason.split())};"
            f" {retry_command(list(reasons))} runs it again"
        )
