"""The results of preflight as lines for people."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from rich.text import Text

from backfilld.api.cli.output import sign
from backfilld.daemon.preflight.checklist import Finding, FindingStatus, Preflight, Result

_SIGNS = {FindingStatus.PASS: "✓", FindingStatus.WARN: "⚠", FindingStatus.FAIL: "✗", FindingStatus.SKIP: "–"}
_TITLE = 24
"""Width of a check's title."""


def lines(report: Preflight) -> Iterator[Text]:
    """The checks by group: a line for each finding, with the hint below it."""
    for group, results in itertools.groupby(report.results, key=lambda result: result.group):
        yield Text(group, style="bold")
        for result in results:
            yield from _result(result)
    yield Text()
    yield Text(report.summary, style="bold")


def _result(result: Result) -> Iterator[Text]:
    title = result.title
    for finding in sorted(result.findings, key=_severity):
        yield Text.assemble("  ", sign(_SIGNS[finding.status]), f" {title:{_TITLE}} {finding.line}")
        title = ""
        indent = " " * (_TITLE + 5)
        if finding.where not in finding.line:
            yield Text(f"{indent}in {finding.where}", style="dim")
        if finding.hint:
            yield Text(f"{indent}→ {finding.hint}", style="dim")


def _severity(finding: Finding) -> int:
    return (FindingStatus.FAIL, FindingStatus.WARN, FindingStatus.PASS, FindingStatus.SKIP).index(
        finding.status
    )
