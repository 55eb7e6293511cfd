"""The `[executor.NAME]` tables of the pipeline file: what every kind of executor has."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from pydantic import Field

from backfilld.state.pipeline.strict_model import StrictModel


class ExecutorSettings(StrictModel):
    """Settings that every kind of executor has; an adapter adds its own in a subclass."""

    refused_placeholders: ClassVar[Mapping[str, str]] = {}
    """Placeholders that a command may not use on this executor: why, and the remedy."""

    kind: str = ""
    """The kind of executor; without it, the table's name is the kind."""
    slots: int | None = Field(default=None, ge=1, le=1000)
    """Attempts that run on this executor at once; without it, `jobs.slots` is the only limit."""

    def resource_problems(self, resources: Mapping[str, float | str]) -> Iterator[str]:
        """What is wrong with a processor's `resources` on this executor; one that takes none refuses all."""
        for key in resources:
            yield f"{key}: this kind of executor takes no resources; remove it"
