"""What a request lets run, as far as reports follow it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backfilld.state.records import Sources


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestOptions:
    """The options of a request for dates that decide which jobs run."""

    sources: Sources = Sources.ALL
    selection: Sequence[str] | None = None
    """The processors whose jobs run; None: all of them."""
    force: bool = False
    """Selected processors run once, complete or not."""

    @property
    def selected(self) -> frozenset[str] | None:
        """The selection as a set."""
        return None if self.selection is None else frozenset(self.selection)

    def selects(self, processor: str) -> bool:
        """Whether the jobs of a processor may run, as far as the sources let them."""
        return self.selection is None or processor in self.selection


DEFAULT_OPTIONS = RequestOptions()
"""All jobs of what is missing."""
