"""Why outputs of a date are stale, as a sentence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from backfilld.daemon.reports.remedies import failed_inputs_remedy
from backfilld.state.formatting import format_utc, join_truncated
from backfilld.state.store.stale_marks import StaleCause


def stale_reason(outputs: Mapping[str, Sequence[StaleCause]]) -> str | None:
    """Which outputs of a date are stale and why, those with the same causes together; None without any."""
    names_by_reason: dict[str, list[str]] = defaultdict(list)
    for name, causes in sorted(outputs.items()):
        names_by_reason[_of_output(causes)].append(name)
    parts = [f"{join_truncated(names)}: {reason}" for reason, names in names_by_reason.items()]
    failed = sorted({cause.date for causes in outputs.values() for cause in causes if cause.date_failed})
    return "; ".join([*parts, *([failed_inputs_remedy(failed)] if failed else [])]) or None


def _of_output(causes: Sequence[StaleCause]) -> str:
    """What made an output stale: the changes of its inputs, and its inputs that were stale."""
    repaired = [
        f"{cause.processor} of {cause.date} changed at {format_utc(cause.at)}"
        for cause in causes
        if not cause.was_stale
    ]
    stale_inputs = [f"{cause.processor} of {cause.date}" for cause in causes if cause.was_stale]
    return ", and ".join(
        f"{words} {join_truncated(named)}{end}"
        for words, named, end in (
            ("computed before", repaired, ""),
            ("computed from", stale_inputs, f", which {'is' if len(stale_inputs) == 1 else 'are'} stale"),
        )
        if named
    )
