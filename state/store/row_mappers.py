"""Turning result rows into records, and values into what a column takes."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Row

from backfilld.state.records import (
    Action,
    AttemptRow,
    AttemptStatus,
    AuditRow,
    BackfillRow,
    CheckRow,
    DateRow,
    HoldRow,
    RunMode,
    Sources,
    TransitionRow,
)
from backfilld.state.rules.verdict import Verdict

_MODE, _CASCADES = map(DateRow._fields.index, ("mode", "cascades"))
_STATUS = AttemptRow._fields.index("status")
_VERDICT = CheckRow._fields.index("verdict")
_VERDICTS = {verdict.value: verdict for verdict in Verdict}  # the class takes ten times as long to find one
_FLAGS = tuple(map(CheckRow._fields.index, ("satisfied", "last_attempt_succeeded", "last_attempt_counts")))


def _values(row: Any) -> dict[str, Any]:
    return dict(zip(row._fields, row, strict=True))


def backfill(row: Row[Any]) -> BackfillRow:
    """A row of `backfills`."""
    values = _values(row)
    for name in ("request_key", "request_hash"):
        values.pop(name, None)
    selection = values["selection"]
    values["selection"] = None if selection is None else tuple(json.loads(selection))
    return BackfillRow(**{**values, "sources": Sources(values["sources"]), "force": bool(values["force"])})


def date(row: Row[Any]) -> DateRow:
    """A row of `dates`."""
    values = list(row)
    values[_MODE] = RunMode(values[_MODE])
    values[_CASCADES] = bool(values[_CASCADES])
    return DateRow(*values)


def check(row: Row[Any]) -> CheckRow:
    """A row of `checks`."""
    values = list(row)
    values[_VERDICT] = _VERDICTS[values[_VERDICT]]
    for flag in _FLAGS:
        values[flag] = bool(values[flag])
    return CheckRow(*values)


def attempt(row: Row[Any]) -> AttemptRow:
    """A row of `attempts`."""
    values = list(row)
    values[_STATUS] = AttemptStatus(values[_STATUS])
    return AttemptRow(*values)


def transition(row: Row[Any]) -> TransitionRow:
    """A row of `transitions`."""
    return TransitionRow(**_values(row))


def hold(row: Row[Any]) -> HoldRow:
    """A row of `holds`."""
    values = _values(row)
    values["absolute"] = bool(values["absolute"])
    return HoldRow(**values)


def audit(row: Row[Any]) -> AuditRow:
    """A row of `audit`."""
    values = _values(row)
    values["action"] = Action(values["action"])
    for name in ("before", "after"):
        values[name] = values[name] and json.loads(values[name])
    return AuditRow(**values)
