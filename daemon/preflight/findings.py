"""The findings of a check, its status, and the exit code of all checks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class FindingStatus(StrEnum):
    """The status of a finding or a check."""

    PASS = "pass"  # noqa: S105 - a word, no password
    """All is well."""
    WARN = "warn"
    """A backfill can start, but something may be wrong."""
    FAIL = "fail"
    """A backfill should not start."""
    SKIP = "skip"
    """Not run: by --quick, or because a check that it needs has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line about one thing that was checked."""

    status: FindingStatus
    line: str
    hint: str = ""
    """What to do; empty where nothing is to do."""
    where: str = ""
    """`path` or `path:line`, where it is about a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One check with its findings; its status is the worst of theirs."""

    group: str
    """Its group: pipeline, daemon, jobs, warehouse, data, trial, platform."""
    check: str
    title: str
    status: FindingStatus
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """The results of all checks."""

    results: Sequence[Result]
    exit_code: int
    """0 ready, 1 something critical, 2 warnings only."""
    summary: str


_WORST_FIRST = (FindingStatus.FAIL, FindingStatus.WARN, FindingStatus.PASS, FindingStatus.SKIP)


def passed(line: str) -> Finding:
    """A finding without anything to do."""
    return Finding(status=FindingStatus.PASS, line=line)


def warned(line: str, hint: str, *, where: str = "") -> Finding:
    """A finding that an operator should check before starting."""
    return Finding(status=FindingStatus.WARN, line=line, hint=hint, where=where)


def failed(line: str, hint: str, *, where: str = "") -> Finding:
    """A finding with which a backfill would fail or do harm."""
    return Finding(status=FindingStatus.FAIL, line=line, hint=hint, where=where)


def skipped(line: str) -> Finding:
    """A finding that says why nothing was checked."""
    return Finding(status=FindingStatus.SKIP, line=line)


def worst(findings: Iterable[Finding]) -> FindingStatus:
    """The worst status; pass without findings."""
    return min((finding.status for finding in findings), key=_WORST_FIRST.index, default=FindingStatus.PASS)


def result_of(group: str, check: str, title: str, findings: Sequence[Finding]) -> Result:
    """The result of a check with these findings."""
    return Result(group=group, check=check, title=title, status=worst(findings), findings=findings)


def exit_code(results: Iterable[Result]) -> int:
    """0 ready, 1 something critical, 2 warnings only."""
    statuses = {result.status for result in results}
    if FindingStatus.FAIL in statuses:
        return 1
    return 2 if FindingStatus.WARN in statuses else 0
