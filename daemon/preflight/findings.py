"""What a check answers, and what all answers together mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class FindingStatus(StrEnum):
    """The answer of one check."""

    PASS = "pass"  # noqa: S105 - a word, no password
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    """Not asked: by --quick, or because what it needs has failed already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line about one thing that was looked at."""

    status: FindingStatus
    line: str
    hint: str = ""
    """What to do about it; empty where there is nothing to do."""
    where: str = ""
    """File and line, `path:12`, where it is about a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One check with its findings, the worst of which is its status."""

    group: str
    """What it is about: pipeline, daemon, jobs, warehouse, data, trial."""
    check: str
    title: str
    status: FindingStatus
    findings: Sequence[Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """The answers of all checks."""

    results: Sequence[Result]
    exit_code: int
    """0 ready, 1 something critical, 2 warnings only."""
    summary: str


_WORST_FIRST = (FindingStatus.FAIL, FindingStatus.WARN, FindingStatus.PASS, FindingStatus.SKIP)


def passed(line: str) -> Finding:
    """Nothing to do."""
    return Finding(status=FindingStatus.PASS, line=line)


def warned(line: str, hint: str, *, where: str = "") -> Finding:
    """Worth a look before starting."""
    return Finding(status=FindingStatus.WARN, line=line, hint=hint, where=where)


def failed(line: str, hint: str, *, where: str = "") -> Finding:
    """A backfill would fail, or do harm."""
    return Finding(status=FindingStatus.FAIL, line=line, hint=hint, where=where)


def skipped(line: str) -> Finding:
    """Not looked at."""
    return Finding(status=FindingStatus.SKIP, line=line)


def worst(findings: Iterable[Finding]) -> FindingStatus:
    """The status that counts."""
    return min((finding.status for finding in findings), key=_WORST_FIRST.index, default=FindingStatus.PASS)


def exit_code(results: Iterable[Result]) -> int:
    """0 ready, 1 something critical, 2 warnings only."""
    statuses = {result.status for result in results}
    if FindingStatus.FAIL in statuses:
        return 1
    return 2 if FindingStatus.WARN in statuses else 0
