"""The platform's own checks of preflight, `[[preflight.check]]`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from backfilld.state.pipeline.field_types import TimeLimit
from backfilld.state.pipeline.placeholders import fill, refuse_unknown
from backfilld.state.pipeline.strict_model import StrictModel

PLACEHOLDERS = ("start", "end", "python")


class PreflightCheckSettings(StrictModel):
    """A command of the platform that preflight runs: exit code 0 is a pass."""

    name: str = Field(min_length=1, max_length=80)
    """What it checks, as preflight shows it."""
    command: tuple[str, ...] = Field(min_length=1, strict=False)
    """The program and its arguments, without a shell. `{start}` and `{end}` are the dates of the preflight,
    `{python}` the interpreter that runs backfilld. `cwd`, `env` and `pass_env` are those of `[jobs]`."""
    timeout: TimeLimit = 60.0
    """The longest that it may run. Then its process group is ended."""
    severity: Literal["fail", "warn"] = "fail"
    """What another exit code, or no end in time, is. A command that cannot start is always a failure."""

    @field_validator("command")
    @classmethod
    def _known_placeholders(cls, command: tuple[str, ...]) -> tuple[str, ...]:
        refuse_unknown(command, PLACEHOLDERS)
        return command

    def argv(self, words: dict[str, str]) -> tuple[str, ...]:
        """The command with its placeholders replaced by `words`."""
        return fill(self.command, words)


class PreflightSettings(StrictModel):
    """What preflight checks beside its own checks."""

    check: tuple[PreflightCheckSettings, ...] = Field(default=(), strict=False)
    """The platform's own checks, in the order in which they run."""
