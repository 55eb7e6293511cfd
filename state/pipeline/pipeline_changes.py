"""What differs between two versions of a pipeline file: keys as in error messages, no values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from backfilld.state.formatting import join_truncated
from backfilld.state.pipeline.pipeline import Pipeline

_SHOWN = 5
"""How many keys of each kind of change a summary names."""
_OF_PROCESSOR = re.compile(r"phase\[\w+\]\.processor\[\w+\]\.(.+)")


class ChangeKind(StrEnum):
    """What happened to a key."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class PipelineChanges:
    """The keys that differ, such as `phase[raw].processor[box].expect.rows`, in the order of the file."""

    keys: Mapping[ChangeKind, tuple[str, ...]]

    @classmethod
    def between(cls, old: Pipeline, new: Pipeline) -> PipelineChanges:
        """The changes from the old to the new file. A table that was added or removed is one key.

        A change of `[jobs]` is not repeated for each processor that inherits it.
        """
        before, after = (pipeline.model_dump(mode="json", by_alias=True) for pipeline in (old, new))
        values = {key: (kind, was, now) for kind, key, was, now in _differences("", before, after)}
        stated = {key: change for key, change in values.items() if not _inherited(key, change, values)}
        return cls(
            {kind: tuple(key for key, (k, _, _) in stated.items() if k is kind) for kind in ChangeKind}
        )

    @property
    def facts(self) -> dict[str, list[str]]:
        """All keys by the kind of change, as the audit keeps them."""
        return {kind.value: list(keys) for kind, keys in self.keys.items() if keys}

    def __str__(self) -> str:
        """A summary for the log: `added a; changed b, c and 3 more`."""
        return "; ".join(f"{kind} {join_truncated(keys, _SHOWN)}" for kind, keys in self.keys.items() if keys)


_Difference = tuple[ChangeKind, str, Any, Any]
"""Kind, key, old value, new value."""


def _differences(key: str, old: Any, new: Any) -> Iterator[_Difference]:
    """The smallest parts that differ. None is a key that the file does not have."""
    if old == new:
        return
    if old is None or new is None:
        yield (ChangeKind.ADDED if old is None else ChangeKind.REMOVED), key, old, new
        return
    before, after = _parts(key, old), _parts(key, new)
    if before is None or after is None:
        yield ChangeKind.CHANGED, key, old, new
        return
    for part in {**before, **after}:
        yield from _differences(part, before.get(part), after.get(part))
    if isinstance(old, list) and [p for p in before if p in after] != [p for p in after if p in before]:
        yield ChangeKind.CHANGED, f"{key} (order)", old, new


def _parts(key: str, value: Any) -> dict[str, Any] | None:
    """The parts of a table, or of a list of tables with names, by their keys; None for a single value."""
    if isinstance(value, dict):
        return {f"{key}.{name}" if key else name: part for name, part in value.items()}
    if isinstance(value, list) and all(isinstance(part, dict) and "name" in part for part in value):
        return {f"{key}[{part['name']}]": part for part in value}
    return None


def _inherited(
    key: str, change: tuple[ChangeKind, Any, Any], values: Mapping[str, tuple[ChangeKind, Any, Any]]
) -> bool:
    """Whether a processor's key changed only because `[jobs]` did."""
    match = _OF_PROCESSOR.fullmatch(key)
    return match is not None and values.get(f"jobs.{match[1]}") == change
