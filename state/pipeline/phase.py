"""Phases, and the states of dates that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from backfilld.state.pipeline.field_types import Name
from backfilld.state.pipeline.processor import Processor
from backfilld.state.pipeline.strict_model import StrictModel

PENDING, DONE, FAILED = "pending", "done", "failed"
"""The states of dates that every pipeline has."""


class Phase(StrictModel):
    """A named group of processors."""

    name: Name
    """Its name, which is also a state of dates; with `-step-1` and so on when it is sequential."""
    order: Literal["parallel", "sequential"] = "parallel"
    """`parallel`: side by side. `sequential`: in the file's order, one attempt at a time over all dates."""
    skip_bootstrap: bool = False
    """Whether dates in the first `bootstrap_days` of a season skip it."""
    lookback: Literal["season"] | int | None = None
    """`"season"` or days: the earlier dates of the phase before that its processors need, except those with
    `needs`. A sequential phase takes the season when there is one, else 0."""
    processor: tuple[Processor, ...] = Field(default=(), strict=False)
    """Its processors, in order."""

    @classmethod
    def misplaced_keys(cls) -> Mapping[str, str]:
        """The keys of its processors."""
        keys = set(Processor.known_keys()) - set(cls.known_keys())
        return dict.fromkeys(keys, "move it to a [[phase.processor]]")

    @property
    def sequential(self) -> bool:
        """Whether its processors run strictly one after another, one attempt at a time over all dates."""
        return self.order == "sequential"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One live state of a date after `pending`, with the processors of its gate."""

    name: str
    index: int
    phase: Phase
    processors: tuple[Processor, ...]
    enters_phase: bool
    """Whether it is the first state of its phase."""
