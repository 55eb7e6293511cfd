"""`check`: a command about a date, such as a dbt test, that must exit with 0."""

from __future__ import annotations

import datetime as dt
import hashlib
import shlex
from collections.abc import Mapping

from pydantic import Field, field_validator

from backfilld.state.pipeline.field_types import TimeLimit
from backfilld.state.pipeline.placeholders import fill, refuse_unknown
from backfilld.state.pipeline.strict_model import StrictModel
from backfilld.state.rules.check_command_run import CheckRun
from backfilld.state.rules.evidence import Evidence
from backfilld.state.rules.expectations.rule import Finding, Rule
from backfilld.state.rules.verdict import Verdict

PLACEHOLDERS = ("date", "dates", "start", "end", "python")
_SHOWN = 100
"""The most characters of a command that a sentence shows."""


class CommandCheck(StrictModel, Rule):
    """`check = { command = ["dbt", "test", "--select", "stg_orders"], timeout = "5m" }`."""

    command: tuple[str, ...] = Field(min_length=1, strict=False)
    """The program and its arguments, without a shell, with the placeholders of a job of one date."""
    timeout: TimeLimit = 5 * 60.0
    """The longest that it may run. Then it is ended with all that it started."""

    @field_validator("command")
    @classmethod
    def _known_placeholders(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        refuse_unknown(command, PLACEHOLDERS)
        return command

    def argv(self, words: Mapping[str, str]) -> tuple[str, ...]:
        """The command with its placeholders replaced by `words`; no shell ever parses it."""
        return fill(self.command, words)

    def name(self, date: dt.date) -> str:
        """The command for a date, as sentences show it."""
        line = shlex.join(self.argv({**dict.fromkeys(PLACEHOLDERS, str(date)), "python": "python"}))
        return f'check "{line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"}"'

    def subject(self, evidence: Evidence, *, surroundings: object, written_at: float | None) -> str:
        """A hash of what a result is about: the command with its `surroundings`, and the output.

        Without a write stamp the output is known by its figures, and by when an attempt last wrote it.
        """
        output: object = evidence.write_stamp or (
            evidence.rows,
            sorted(evidence.distinct.items()),
            evidence.distinct_keys,
            evidence.passing_rows,
            sorted(evidence.empty_counts.items()),
            evidence.groups,
            written_at,
        )
        return hashlib.sha256(repr((self.command, surroundings, output)).encode()).hexdigest()

    def judge_run(self, run: CheckRun | None, date: dt.date) -> Finding | None:
        """What the latest run about an output means; None where it exited with 0."""
        name = self.name(date)
        if run is None or run.ended_at is None:
            status = "is running" if run and run.started_at is not None else "has not run yet"
            before = f"; before, it {run.previous_failure}" if run and run.previous_failure else ""
            return Verdict.UNKNOWN, f"{name} {status}{before}"
        if run.failure:
            return Verdict.UNKNOWN, f"{name} {run.failure}"
        because = f": {run.detail}" if run.detail else ""
        return (Verdict.DEGRADED, f"{name} exited {run.exit_code}{because}") if run.exit_code else None
